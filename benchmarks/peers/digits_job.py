"""The default race's job as it is given to peers: tune five optimizers on digits, five times each, and confirm.

A study is 16 trials of 600 steps, of which the worse half stops at 150 and at 300, then its choice on 4 fresh seeds.
Peers get what is cheapest for them: models are scored at the rungs alone (a race scores them twenty times), there are
no trials beyond the edge of a range, no store, and no report.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch

from gradrace.workloads.digits import workload

from ._plain import batches, make_optimizer

STUDIES, TRIALS, SEEDS = 5, 16, 4
RUNGS = (150, 300, 600)
REDUCTION = 2
SPACES: dict[str, dict[str, tuple[float, float]]] = {
    "sgd": {"lr": (1e-4, 10)},
    "momentum": {"lr": (1e-5, 1), "1 - momentum": (0.005, 0.3)},
    "adagrad": {"lr": (1e-4, 10)},
    "rmsprop": {"lr": (1e-5, 0.1), "1 - alpha": (0.001, 0.5)},
    "adam": {"lr": (1e-5, 0.1), "1 - beta1": (0.02, 0.5)},
}
"""Ranges of what a study tunes, on a logarithmic scale: those of the race."""
MODES: dict[str, dict[str, bool]] = {
    "sgd": {"foreach": False},
    "momentum": {"foreach": False},
    "adagrad": {"fused": True},
    "rmsprop": {"foreach": False},
    "adam": {"fused": True},
}
"""The modes of ``torch.optim`` that are fastest on this model; the engine's table has them for every workload."""
ALL = [(name, study) for study in range(STUDIES) for name in SPACES]
"""The studies, contenders in turn."""


def values_of(sampled: Mapping[str, float]) -> dict[str, float]:
    """Hyperparameters of what was sampled."""
    return {key.removeprefix("1 - "): 1 - value if key != "lr" else value for key, value in sampled.items()}


def one_thread() -> None:
    """Set a process up to train."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


@torch.no_grad()
def accuracy(model: torch.nn.Module, split: str) -> float:
    """Share of a split's examples that the model tells right."""
    inputs, target = workload.in_memory(split)
    assert isinstance(inputs, torch.Tensor)
    assert isinstance(target, torch.Tensor)
    return (model(inputs).argmax(1) == target).float().mean().item()


def train(name: str, sampled: Mapping[str, float], seed: int) -> Iterator[tuple[int, float]]:
    """Train; at each rung the step and the validation accuracy. With a fresh seed the last is the test accuracy."""
    assert workload.model is not None
    torch.manual_seed(seed)
    model = workload.model()
    optimizer = make_optimizer(name, model.parameters(), MODES[name], **values_of(sampled))
    drawn = batches(workload, model, seed)
    for step in range(1, RUNGS[-1] + 1):
        optimizer.zero_grad()
        workload.loss_of(model, next(drawn)).backward()
        optimizer.step()
        if step in RUNGS:
            yield step, accuracy(model, "test" if seed and step == RUNGS[-1] else "validation")


def confirm(name: str, sampled: Mapping[str, float], seed: int) -> float:
    """The test accuracy of a choice on a fresh seed."""
    return list(train(name, sampled, seed))[-1][1]


def whole(start: float, study_seconds: list[float], at_once: int) -> float:
    """Seconds of the whole job, from those of some of its studies."""
    return start + sum(study_seconds) / len(study_seconds) * len(ALL) / at_once


def share_of(share: int) -> list[tuple[str, int]]:
    """So many studies of the job; all of them for 0."""
    return ALL[: share or None]
