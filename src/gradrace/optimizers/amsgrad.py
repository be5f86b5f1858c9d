"""AMSGrad: Adam with one of its options switched on, the maximum kept."""

from __future__ import annotations

from dataclasses import replace

from gradrace.optimizers._base import Card, Case
from gradrace.optimizers.adam import optimizer as adam

optimizer = replace(
    adam,
    name="amsgrad",
    class_name="AMSGrad",
    options={"amsgrad": True, "decoupled": False},
    special_cases=(),
    card=Card(
        title="AMSGrad (Adam with the maximum kept)",
        idea="Adam that never forgets how large a coordinate's gradient has been: it divides by the largest average of "
        "squares so far, so that a rare large gradient keeps its weight.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g",
            "s <- beta2 * s + (1 - beta2) * g^2",
            "p <- max(p, s)",
            "w <- w - lr * m / (1 - beta1^t) / (sqrt(p / (1 - beta2^t)) + eps)",
        ),
        use="Where Adam drifts away from a good solution because informative gradients are rare.",
        paper="Reddi, Kale and Kumar, On the Convergence of Adam and Beyond, 2018",
        link="https://openreview.net/forum?id=ryQu7f-RZ",
        relatives={
            "adam": "AMSGrad that divides by the present average",
            "adagrad": "divides by a sum, which never falls either",
        },
        differences=(
            "The paper has no bias correction. PyTorch corrects both averages as Adam does, and takes the maximum "
            "before it corrects: the maximum never falls, but what is divided by may, over the first steps.",
        ),
    ),
    family=("adam", "divided by the largest average so far"),
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9}),
        Case({"lr": 0.3, "weight_decay": 0.1, "eps": 1e-3}),
        Case({"lr": 0.05, "weight_decay": 1.0}, {"decoupled": True}),
    ),
)
