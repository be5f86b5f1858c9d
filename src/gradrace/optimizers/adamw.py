"""AdamW: Adam with weight decay beside the gradient instead of inside it."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from gradrace.optimizers._base import BadInput, Card, Case, Hyperparameter, Korean, PerTensor
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
        korean=Korean(
            title="AdamW (가중치 감쇠를 분리한 Adam)",
            idea="모든 가중치를 같은 비율로 0 쪽으로 당기는 Adam입니다. Adam에서는 가중치 감쇠가 기울기에 포함되어 "
            "함께 나뉘므로, 기울기가 큰 가중치는 거의 감쇠되지 않습니다.",
            use="트랜스포머: 언어 모델과 비전 모델.",
            relatives={
                "adam": "weight_decay가 0인 AdamW",
            },
            differences=(
                "논문의 감쇠는 lr이 아니라 스케줄에만 좌우됩니다. PyTorch는 감쇠에 lr을 곱합니다. 논문의 감쇠는 "
                "여기서 lr * weight_decay입니다.",
            ),
            meanings={
                "lr": "학습률: 각 좌표에서 대략 한 스텝의 길이",
                "beta1": "평균 기울기를 유지하는 비율",
                "beta2": "기울기 제곱 평균을 유지하는 비율",
                "eps": "나눗셈을 유한하게 유지하는 작은 수",
                "weight_decay": "lr 1인 스텝이 파라미터에서 덜어 내는 비율",
            },
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
