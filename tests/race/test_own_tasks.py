"""Tasks of users' own, raced: streams, experience, training loops; and what is told of those that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional

import gradrace
from gradrace import Contender, LogUniform, Metric, SpecError, Workload, WorkloadError
from gradrace.store import open_store

GENERATOR = torch.Generator().manual_seed(0)
INPUTS = torch.randn(60, 3, generator=GENERATOR)
CLASSES = torch.randint(0, 3, (60,), generator=GENERATOR)
SMALL: dict[str, Any] = {"studies": 2, "trials": 2, "seeds": 1, "steps": 4, "halving": False, "lanes": 1}

pytestmark = pytest.mark.usefixtures("inline_lanes")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


def classifier() -> nn.Module:
    return nn.Linear(3, 3)


def task(**changes: Any) -> Workload:
    data = {"train": (INPUTS, CLASSES), "validation": 0.2, "test": 0.2}
    settings = {"model": classifier, "loss": functional.cross_entropy, "metric": "accuracy", "batch_size": 8, **data}
    return Workload("mine", **{**settings, **changes})


def raced(work: Workload, store: Path, contenders: Any = ("sgd", "adam"), **changes: Any) -> dict[str, Any]:
    return gradrace.race(work, contenders, store=store, **{**SMALL, **changes}).to_json()


# --- kinds of tasks ---


def test_a_stream(store: Path) -> None:
    work = task(
        train=(INPUTS[:40], CLASSES[:40]),
        validation=None,
        test=(INPUTS[40:], CLASSES[40:]),
        online=True,
        others={"share right": lambda output, target: (output.argmax(-1) == target).double().mean()},
    )
    found = raced(work, store)
    assert found["plan"]["engine"] == "vectorized"
    assert found["workload"]["examples"] == {"train": 40, "test": 20}
    for standing in found["standings"]:
        assert standing["others"]["share right"]["mean"] == pytest.approx(standing["test"]["mean"])
    with pytest.raises(
        SpecError, match=r"'mine' is online, one pass over 40 events: 5 steps of 8\. The race asks for 6"
    ):
        raced(work, store, steps=6)


class Guess:
    """A game of guessing a number's sign: the batch is what the model tried, with what each try would have earned."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def batch(self, model: nn.Module, step: int) -> dict[str, Tensor]:
        numbers = torch.randn(16, 3, generator=torch.Generator().manual_seed(self.seed % 2**40 + step))
        return {"numbers": numbers, "earned": numbers.sign()}

    def score(self, model: Any, split: str) -> float:
        seed = {"validation": 1, "test": 2}[split]
        numbers = torch.randn(100, 3, generator=torch.Generator().manual_seed(seed))
        return float((model(numbers).sign() == numbers.sign()).double().mean())


def earned(model: Any, batch: Any) -> Tensor:
    return -(torch.tanh(model(batch["numbers"])) * batch["earned"]).mean()


def test_experience(store: Path) -> None:
    work = Workload(
        "guess",
        classifier,
        loss_of_model=earned,
        experience=Guess,
        metric=Metric("share right", of_loss=lambda loss: loss, direction="max", worst=0.0),
    )
    found = raced(work, store, steps=30, contenders=[Contender("adam", space={"lr": LogUniform(0.01, 0.1)})])
    assert found["plan"]["engine"] in ("loop", "drop-in")
    assert found["plan"]["reason"] == "Not vectorized: its batches come from what each trial's own model does."
    assert found["standings"][0]["test"]["mean"] > 0.9
    assert found["workload"]["tested"] == "scored on fresh episodes that nothing before has seen"
    with pytest.raises(SpecError, match=r"vectorized engine cannot train 'guess': its batches come from"):
        raced(work, store, engine="vectorized")


class Guesses:
    """The same for many trials."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.each = [Guess(seed) for seed in seeds]

    def batch(self, model: nn.Module, tensors: Mapping[str, Tensor], step: int) -> dict[str, Tensor]:
        batches = [one.batch(model, step) for one in self.each]
        return {name: torch.stack([batch[name] for batch in batches]) for name in ("numbers", "earned")}

    def score(self, model: nn.Module, tensors: Mapping[str, Tensor], split: str) -> list[float]:
        def one(row: int) -> float:
            own = {name: tensor[row] for name, tensor in tensors.items()}
            return self.each[row].score(lambda numbers: functional_call(model, own, (numbers,)), split)

        return [one(row) for row in range(len(self.each))]

    def keep(self, rows: Sequence[int]) -> None:
        self.each = [self.each[row] for row in rows]


class GuessTogether(Guess):
    def together(self, seeds: Sequence[int]) -> Guesses:
        return Guesses(seeds)


class GuessAlike(Guess):
    """A mistake: the batch of one trial for all."""

    def together(self, seeds: Sequence[int]) -> Any:
        return self


def test_experience_of_many_trials_at_once(store: Path) -> None:
    work = Workload(
        "guess",
        classifier,
        loss_of_model=earned,
        experience=GuessTogether,
        metric=Metric("share right", of_loss=lambda loss: loss, direction="max", worst=0.0),
    )
    settings: dict[str, Any] = {"steps": 30, "trials": 8, "halving": True}
    found, expected = (
        raced(replace(work, experience=made), store, engine=engine, **settings)
        for made, engine in ((GuessTogether, "vectorized"), (Guess, "loop"))
    )
    assert found["plan"]["engine"] == "vectorized"
    for one, other in zip(found["standings"], expected["standings"], strict=True):
        assert one["label"] == other["label"]
        assert one["test"]["mean"] == pytest.approx(other["test"]["mean"], abs=0.011)  # an answer more or less of 100
        assert one["configuration"] == other["configuration"]


def test_experience_of_many_trials_without_an_axis_of_them(store: Path) -> None:
    work = Workload("guess", classifier, loss_of_model=earned, experience=GuessAlike, metric="loss")
    found = raced(replace(work, metric=Metric("m", of_loss=lambda loss: loss, direction="max")), store)
    assert found["plan"]["engine"] in ("loop", "drop-in")
    assert "cannot be vectorized" in found["plan"]["reason"]


def loop(make_optimizer: Any, seed: int) -> Iterator[Any]:
    torch.manual_seed(seed)
    model = classifier()
    optimizer = make_optimizer(model.parameters())
    for step in range(1, 5):
        optimizer.zero_grad()
        functional.cross_entropy(model(INPUTS[:40]), CLASSES[:40]).backward()
        optimizer.step()
        with torch.no_grad():
            parts = {name: functional.cross_entropy(model(INPUTS[rows]), CLASSES[rows]).item() for name, rows in PARTS}
            yield step, parts


PARTS = (("validation", slice(40, 50)), ("test", slice(50, 60)))


def test_a_training_loop(store: Path) -> None:
    work = Workload.from_training_loop("own", loop, "validation", 4, test_metric="test")
    found = raced(work, store, contenders=["sgd", "adam", "torch.optim.NAdam"])
    assert found["plan"]["engine"] == "training loop"
    assert [standing["diverged"] for standing in found["standings"]] == [0, 0, 0]
    assert all(0.5 < standing["test"]["mean"] < 20 for standing in found["standings"])
    assert found["workload"]["tested"] == "scored by its training loop's own 'test'"
    with open_store(store) as opened:
        outcomes = opened.outcomes(found["race"]["id"])
    confirmed = [outcome for outcome in outcomes if outcome.test is not None]
    assert all(outcome.test != outcome.validation for outcome in confirmed)
    assert len(confirmed) == 6


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_every_training_loop_is_told_to_stop(store: Path, schedule: str) -> None:
    under_way = [0]

    def counted(make_optimizer: Any, seed: int) -> Iterator[Any]:
        under_way[0] += 1
        try:
            yield from ((step, {"loss": 1 / step}) for step in range(1, 1000))
        finally:
            under_way[0] -= 1

    work = Workload.from_training_loop("own", counted, "loss", 8)
    found = raced(work, store, trials=4, steps=8, halving=True, schedule=schedule)
    assert found["standings"]
    assert under_way == [0]


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_a_training_loop_has_no_other_engine(store: Path, engine: str) -> None:
    work = Workload.from_training_loop("own", loop, "validation", 4)
    with pytest.raises(
        SpecError, match=f"'own' trains by a loop of its own, so the engine must be 'auto', not '{engine}'"
    ):
        raced(work, store, engine=engine)
    with pytest.raises(SpecError, match="which evaluates its own weights: ema must be 0"):
        raced(work, store, ema=0.9)
    assert not store.exists()


def test_a_training_loop_that_raises_at_once_is_told_before_anything_is_stored(store: Path) -> None:
    def broken(make_optimizer: Any, seed: int) -> Iterator[Any]:
        raise OSError("no such camera")
        yield

    with pytest.raises(WorkloadError, match=r"(?s)loop of workload 'own' raised when it was tried.*no such camera"):
        raced(Workload.from_training_loop("own", broken, "loss", 4), store)
    assert not store.exists()


# --- what cannot be raced ---

SHARED = nn.Linear(3, 3)


class Sharing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mine, self.shared = nn.Linear(3, 3), SHARED

    def forward(self, x: Tensor) -> Tensor:
        return self.shared(self.mine(x))


BAD: list[tuple[dict[str, Any], str]] = [
    ({"model": lambda: SHARED}, "gives the same model, or the same parameters, at every call"),
    ({"model": Sharing}, "gives the same model, or the same parameters, at every call"),
    (
        {"train": (INPUTS, CLASSES + 1)},
        "The train split of workload 'mine' has targets from 1 to 3, but the model tells 3 classes apart, 0 to 2.",
    ),
    ({"train": (INPUTS, CLASSES - 1)}, "has targets from -1 to 1, but the model tells 3 classes apart, 0 to 2."),
    (
        {"metric": lambda output, target: torch.tensor(float("nan")), "direction": "min"},
        "The metric of workload 'mine', <lambda>, is nan on the validation split before and after the first",
    ),
    ({"model": nn.ReLU}, "has no trainable parameters"),
    (
        {"loss": lambda output, target: functional.cross_entropy(output, target, reduction="none")},
        "The loss of workload 'mine' must be a tensor of shape (), but is (8,).",
    ),
    ({"train": (INPUTS[:0], CLASSES[:0])}, "Workload 'mine' has no examples in its train split"),
]


@pytest.mark.parametrize(("changes", "sentence"), BAD)
def test_what_cannot_be_raced_is_told_and_nothing_is_stored(
    changes: dict[str, Any], sentence: str, store: Path
) -> None:
    with pytest.raises(WorkloadError) as caught:
        raced(task(**changes), store)
    assert sentence in str(caught.value)
    assert "workload 'mine'" in str(caught.value).lower()
    assert not store.exists()


def test_ignored_targets_are_no_classes(store: Path) -> None:
    some = torch.where(torch.arange(60) % 7 == 0, -100, CLASSES)
    assert raced(task(train=(INPUTS, some), metric="loss"), store)["standings"]


def test_splits_that_overlap_are_warned_of(store: Path) -> None:
    work = task(validation=(INPUTS[:20], CLASSES[:20]), test=(INPUTS[50:], CLASSES[50:]))
    warnings = raced(work, store)["warnings"]
    assert "20 of the 20 examples of the validation split are also in the train split." in warnings
    assert "10 of the 10 examples of the test split are also in the train split." in warnings
