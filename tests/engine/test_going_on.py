"""Training that pauses, or goes on elsewhere from a saved state, gives the bits of training that does neither."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch

from gradrace.engine.loop import Loop
from gradrace.engine.own_loop import OwnLoop
from gradrace.engine.trial import Surroundings, Training, Trials, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.optimizers import optimizers
from gradrace.race.spec import Contender
from gradrace.workloads import Workload, workload

MIDDLE, POINT, END = 7, 12, 20
ENGINES = {
    "loop": Loop,
    "drop-in": lambda work: Loop(work, drop_in=True),
    "vectorized": Vectorized,
    "compiled": lambda work: Vectorized(work, "always"),
}


def setups(*names: str, seeds: int = 1, **around: float) -> list[TrialSetup]:
    found = []
    for name in names:
        rule = Contender(name).rule
        for place in range(2 * seeds):
            hyper = rule.configure({"lr": 0.01 / (1 + place)}) if "lr" in rule.hyperparameters else rule.configure({})
            stream = (0, 0, place % seeds)
            found.append(TrialSetup(rule, hyper, rule.with_options({}, {}), stream, Surroundings(**around)))
    return found


def copied(state: Any) -> Any:
    """A state as it comes back from a file, which is read as data alone."""
    file = io.BytesIO()
    torch.save(state, file)
    return torch.load(io.BytesIO(file.getvalue()), weights_only=True)


def results(trials: Trials, until: int) -> list[Any]:
    losses = trials.train(until)
    found = [losses, trials.diverged_at()]
    for split in ("validation", "test"):
        evaluation = trials.evaluate(split)
        found += [evaluation.metric, evaluation.loss, evaluation.others]
    return found


def three_ways(engine: Any, given: list[TrialSetup], training: Training) -> None:
    """Train at once, with pauses, and from a state saved at a pause; fail if a bit differs."""
    whole = engine.start(given, training)
    expected = [whole.train(POINT), whole.evaluate("validation").metric, *results(whole, END)]

    paused = engine.start(given, training)
    for step in (1, MIDDLE - 1, MIDDLE):
        paused.advance(step)
    state = paused.state()
    assert state is not None
    kept = copied(state)
    paused.advance(POINT - 1)
    found = [paused.train(POINT), paused.evaluate("validation").metric, *results(paused, END)]
    assert repr(found) == repr(expected)

    resumed = engine.start(given, training)
    resumed.load(kept)
    found = [resumed.train(POINT), resumed.evaluate("validation").metric, *results(resumed, END)]
    assert repr(found) == repr(expected)


@pytest.mark.parametrize("name", sorted(optimizers()))
@pytest.mark.parametrize("engine", ENGINES)
def test_every_optimizer_goes_on_bit_for_bit(engine: str, name: str) -> None:
    work = workload("linear")
    three_ways(ENGINES[engine](work), setups(name), Training(END, work.batch_size))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    "around", [{"ema": 0.9, "clip_norm": 0.1}, {"warmup": 0.5, "decoupled_weight_decay": 0.1}], ids=repr
)
def test_what_is_around_a_rule_goes_on_as_well(engine: str, around: dict[str, float]) -> None:
    work = workload("linear")
    three_ways(
        ENGINES[engine](work),
        setups("sgd", "adam", seeds=2, **around),
        Training(END, work.batch_size, "cosine"),
    )


def dropping() -> Workload:
    """A model with masks and running averages, on fetched examples."""
    from torch import nn
    from torch.nn import functional
    from torch.utils.data import TensorDataset

    x = torch.randn(90, 4, generator=torch.Generator().manual_seed(1))
    return Workload(
        name="dropping",
        model=lambda: nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2)),
        train=TensorDataset(x[:60], (x[:60, 0] > 0).long()),
        validation=TensorDataset(x[60:75], (x[60:75, 0] > 0).long()),
        test=TensorDataset(x[75:], (x[75:, 0] > 0).long()),
        loss=functional.cross_entropy,
        batch_size=8,
        steps=END,
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_masks_running_averages_and_fetched_examples_go_on(engine: str) -> None:
    three_ways(ENGINES[engine](dropping()), setups("sgd", "lamb"), Training(END, 8))


@pytest.mark.parametrize("engine", ["loop", "vectorized"])
def test_a_stream_goes_on_with_what_was_scored(engine: str) -> None:
    work = workload("clicks")
    three_ways(ENGINES[engine](work), setups("sgd", "adagrad"), Training(END, 16))


@pytest.mark.parametrize("name", ["AdamW", "LBFGS", "NAdam"])
def test_pytorchs_own_optimizers_go_on(name: str) -> None:
    work = workload("linear")
    rule = Contender(getattr(torch.optim, name)).rule
    given = [TrialSetup(rule, rule.configure({}), {}, (0, 0, 0)), TrialSetup(rule, rule.configure({}), {}, (0, 0, 1))]
    three_ways(Loop(work), given, Training(END, work.batch_size))


class Secretive(torch.optim.SGD):
    """Remembers beside its state."""

    def __init__(self, params: Any, lr: float = 0.1) -> None:
        super().__init__(params, lr=lr)
        self.seen = 0


def test_what_cannot_be_had_is_not_saved() -> None:
    work = workload("linear")
    rule = Contender(Secretive).rule
    trials = Loop(work).start([TrialSetup(rule, rule.configure({}), {}, (0, 0, 0))], Training(END, 8))
    assert trials.state() is None
    own = Workload.from_training_loop("own", lambda make, seed: iter([(1, {"loss": 1.0})]), metric="loss", steps=2)
    given = replace(setups("sgd")[0])
    assert OwnLoop(own).start([given], Training(2, 1)).state() is None


@pytest.mark.parametrize("engine", ["vectorized", "compiled"])
def test_means_of_losses_do_not_depend_on_the_trials_beside(engine: str) -> None:
    work = workload("linear")
    given = [*setups("sgd", "adam"), *setups("adam", "sgd")]
    together = ENGINES[engine](work).start(given, Training(END, work.batch_size))
    apart = ENGINES[engine](work).start(given[:3], Training(END, work.batch_size))
    if engine == "compiled":
        assert together.train(END)[:3] == apart.train(END)
    else:
        assert together.train(END)[:3] == pytest.approx(apart.train(END), rel=1e-6)
