"""AMSGrad: Adam with one of its options switched on, the maximum kept."""

from __future__ import annotations

from dataclasses import replace

from gradrace.optimizers._base import Card, Case, Korean
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
        korean=Korean(
            title="AMSGrad (최댓값을 유지하는 Adam)",
            idea="좌표의 기울기가 얼마나 컸는지를 절대 잊지 않는 Adam입니다. 지금까지 가장 큰 제곱 평균으로 나누므로, "
            "드물게 나타나는 큰 기울기의 비중이 유지됩니다.",
            use="유용한 기울기가 드물어서 Adam이 좋은 해에서 벗어나는 곳.",
            relatives={
                "adam": "현재의 평균으로 나누는 AMSGrad",
                "adagrad": "역시 줄어들지 않는 합으로 나눔",
            },
            differences=(
                "논문에는 편향 보정이 없습니다. PyTorch는 Adam처럼 두 평균을 보정하며, 보정하기 전에 최댓값을 "
                "취합니다. 최댓값은 줄지 않지만, 처음 몇 스텝 동안 실제로 나누는 값은 줄어들 수 있습니다.",
            ),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "기울기에 더하는 L2 벌점",
            },
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
