"""AdamW: Adam with weight decay beside the gradient instead of inside it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, PerTensor
from gradrace.optimizers.adam import init, update
from gradrace.optimizers.adam import optimizer as adam
from gradrace.space import LogUniform

WEIGHT_DECAY = Hyperparameter(0.01, "share of a parameter that a step of lr 1 takes off", absent_at_zero=True)

optimizer = replace(
    adam,
    name="adamw",
    class_name="AdamW",
    rule=PerTensor(init, partial(update, decoupled=True)),
    hyperparameters={**adam.hyperparameters, "weight_decay": WEIGHT_DECAY},
    space={**adam.space, "weight_decay": LogUniform(1e-4, 1, from_trials=26)},
    card=Card(
        title="AdamW (Adam with decoupled weight decay)",
        idea="Adam that pulls every weight towards zero by the same share. In Adam weight decay is part of the "
        "gradient, and so is divided like it: weights with large gradients are hardly decayed at all.",
        formula=(
            "g = gradient",
            "m <- beta1 * m + (1 - beta1) * g",
            "s <- beta2 * s + (1 - beta2) * g^2",
            "m_hat = m / (1 - beta1^t),  s_hat = s / (1 - beta2^t)",
            "w <- w - lr * weight_decay * w - lr * m_hat / (sqrt(s_hat) + eps)",
        ),
        use="Transformers: language and vision models.",
        paper="Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019",
        link="https://arxiv.org/abs/1711.05101",
        relatives={"adam": "AdamW with weight_decay 0"},
        differences=(
            "The paper's decay does not depend on lr, only on the schedule. PyTorch multiplies it by lr: the paper's "
            "decay is lr * weight_decay here.",
        ),
    ),
    family=("adam", "weight decay apart from the gradient"),
    torch_class="torch.optim.AdamW",
    arguments={name: part for name, part in adam.arguments.items() if part != "decoupled"},
    options={"amsgrad": False},
    special_cases=("adam",),
    cases=(
        Case(),
        Case({"lr": 0.1, "beta1": 0.5, "beta2": 0.9, "weight_decay": 0.0}),
        Case({"lr": 0.3, "weight_decay": 0.3, "eps": 1e-3}),
        Case({"lr": 0.05, "weight_decay": 1.0}, {"amsgrad": True}),
    ),
    bad_inputs=(
        BadInput({"weight_decay": -0.01}, "weight_decay must be a number at least 0, but is -0.01"),
        BadInput({"beta2": 1.0}, "beta2 must be a number at least 0 and below 1, but is 1.0"),
    ),
)
