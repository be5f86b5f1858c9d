"""Blocks: every trial once, equal budgets, shared seeds, and nothing depends on what should not matter."""

from __future__ import annotations

import itertools
import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradrace.outcomes import Stage
from gradrace.race.plan import (
    BLOCK_TRIALS,
    Block,
    Choice,
    Extension,
    Plan,
    PlannedTrial,
    confirmation_blocks,
    edge_blocks,
    extension_trials,
    tuning_blocks,
)
from gradrace.race.points import sobol
from gradrace.race.spec import Contender, RaceSpec, make_contenders
from gradrace.space import LogUniform

FIVE = make_contenders(["sgd", "momentum", "adagrad", "rmsprop", "adam"])


def make_spec(**changes: Any) -> RaceSpec:
    return RaceSpec(**{"studies": 3, "trials": 8, "seeds": 3, "steps": 400, "batch_size": 32, **changes})


def make_plan(contenders: Sequence[Contender], steps: int = 400, stochastic: bool = False) -> Plan:
    return Plan("vectorized", "Measured.", stochastic, {contender.label: steps for contender in contenders}, 100)


def trials_of(blocks: Sequence[Block]) -> list[PlannedTrial]:
    return [trial for block in blocks for trial in block.trials]


def choose(contenders: Sequence[Contender], studies: int) -> list[Choice]:
    return [
        Choice(c.label, study, study + 2, {"lr": 0.1 / (study + 1)}) for c in contenders for study in range(studies)
    ]


def extend(contenders: Sequence[Contender], studies: int) -> list[Extension]:
    beyond = LogUniform(1, 10)
    return [Extension(c.label, study, "lr", "high", beyond) for c in contenders for study in range(studies)]


def of_all_stages(spec: RaceSpec, contenders: Sequence[Contender], plan: Plan) -> list[Block]:
    return [
        *tuning_blocks(spec, contenders, plan),
        *edge_blocks(spec, contenders, plan, extend(contenders, spec.studies)),
        *confirmation_blocks(spec, contenders, plan, choose(contenders, spec.studies)),
    ]


def test_budgets_are_equal() -> None:
    spec = make_spec()
    trials = trials_of(tuning_blocks(spec, FIVE, make_plan(FIVE)))
    counts = Counter((trial.contender, trial.study) for trial in trials)
    assert counts == {(contender.label, study): 8 for contender in FIVE for study in range(3)}
    assert all(trial.seed == 0 and trial.stage is Stage.TUNING for trial in trials)
    points = Counter((trial.contender, trial.study, trial.point) for trial in trials)
    assert set(points.values()) == {1}
    assert {trial.point for trial in trials} == set(range(8))


def test_configurations_are_the_sobol_points_of_the_study() -> None:
    spec = make_spec(trials=16, seed=5)
    entered = make_contenders(["sgd", Contender("sgd", "other", scramble=1), "momentum"])
    for trial in trials_of(tuning_blocks(spec, entered, make_plan(entered))):
        point = sobol(5, trial.study, 1 if trial.contender == "other" else 0, "points", 16)[trial.point]
        space = {c.label: c.dimensions(16) for c in entered}[trial.contender]
        assert list(trial.configuration) == (["lr", "momentum"] if trial.contender == "momentum" else ["lr"])
        assert trial.configuration["lr"] == space["lr"].value(point[0])
        if "momentum" in space:
            assert trial.configuration["momentum"] == space["momentum"].value(point[1])


@settings(max_examples=60)
@given(
    contenders=st.integers(1, 9),
    studies=st.integers(1, 5),
    trials=st.sampled_from([4, 8, 12, 16, 32, 64]),
    seeds=st.integers(1, 9),
    stochastic=st.booleans(),
    halving=st.booleans(),
)
def test_blocks_hold_every_trial_once_and_are_not_too_large(
    contenders: int, studies: int, trials: int, seeds: int, stochastic: bool, halving: bool
) -> None:
    entered = make_contenders([Contender("sgd", f"c{n}") for n in range(contenders)])
    spec = make_spec(studies=studies, trials=trials, seeds=seeds, halving=halving)
    plan = make_plan(entered, stochastic=stochastic)
    blocks = of_all_stages(spec, entered, plan)
    expected = {
        Stage.TUNING: contenders * studies * trials,
        Stage.EDGE: contenders * studies * (trials // 4),
        Stage.CONFIRMATION: contenders * studies * seeds,
    }
    assert Counter(trial.stage for trial in trials_of(blocks)) == expected
    ids = [trial.id for trial in trials_of(blocks)]
    assert len(set(ids)) == len(ids)
    assert len({block.id for block in blocks}) == len(blocks)
    for block in blocks:
        assert block.trials
        assert {trial.stage for trial in block.trials} == {block.stage}
        assert block.id.startswith(f"{block.stage}/")
        # Halving within a block needs whole studies; confirmation halves nothing.
        if block.stage is not Stage.CONFIRMATION:
            size = trials if block.stage is Stage.TUNING else trials // 4
            assert set(Counter((t.contender, t.study) for t in block.trials).values()) == {size}
        else:
            size = 1
        # About BLOCK_TRIALS alive on average, half of which halving drops on the way: at most a root of two more, as
        # their number is a power of two, and one study more, as studies are not cut.
        alive = 2 * BLOCK_TRIALS if halving and block.stage is not Stage.CONFIRMATION else BLOCK_TRIALS
        assert len(block.trials) <= math.sqrt(2) * alive + size
        if stochastic:
            assert len({(trial.study, trial.seed) for trial in block.trials}) == 1


@pytest.mark.parametrize(("trials", "most"), [(8, 40), (16, 48), (32, 64)])
def test_blocks_of_the_presets(trials: int, most: int) -> None:
    blocks = tuning_blocks(make_spec(trials=trials), FIVE, make_plan(FIVE))
    assert max(len(block.trials) for block in blocks) <= most
    per_study = Counter(block.trials[0].study for block in blocks)
    assert len(set(per_study.values())) == 1
    assert all(len({trial.study for trial in block.trials}) == 1 for block in blocks)


def test_a_study_larger_than_a_block_is_a_block() -> None:
    blocks = tuning_blocks(make_spec(trials=256, studies=1), FIVE[:2], make_plan(FIVE))
    assert [len(block.trials) for block in blocks] == [256, 256]


def test_neighbours_in_a_block_are_of_one_contender() -> None:
    plan = make_plan(FIVE)
    for block in of_all_stages(make_spec(), FIVE, plan):
        labels = [label for label, _ in itertools.groupby(block.trials, key=lambda trial: trial.contender)]
        assert len(set(labels)) == len(labels)


def test_confirmation_seeds_are_fresh_and_shared() -> None:
    spec = make_spec(studies=4, seeds=3)
    trials = trials_of(confirmation_blocks(spec, FIVE, make_plan(FIVE), choose(FIVE, 4)))
    for contender in FIVE:
        mine = [trial for trial in trials if trial.contender == contender.label]
        assert {(trial.study, trial.seed) for trial in mine} == set(itertools.product(range(4), (1, 2, 3)))
        assert len(mine) == 12
        assert all(
            (trial.point, trial.configuration) == (trial.study + 2, {"lr": 0.1 / (trial.study + 1)}) for trial in mine
        )
    assert not {(t.study, t.seed) for t in trials} & {
        (t.study, t.seed) for t in trials_of(tuning_blocks(spec, FIVE, make_plan(FIVE)))
    }


def test_studies_without_a_choice_are_not_confirmed() -> None:
    chosen = [choice for choice in choose(FIVE, 3) if (choice.contender, choice.study) != ("sgd", 1)]
    trials = trials_of(confirmation_blocks(make_spec(), FIVE, make_plan(FIVE), chosen))
    assert Counter(trial.contender for trial in trials) == {
        "sgd": 6,
        "momentum": 9,
        "adagrad": 9,
        "rmsprop": 9,
        "adam": 9,
    }
    assert confirmation_blocks(make_spec(), FIVE, make_plan(FIVE), []) == []


def test_extended_trials_go_on_counting_at_shared_points() -> None:
    spec, beyond = make_spec(trials=16, seed=2), LogUniform(1.0, 10.0)
    entered = make_contenders(["sgd", "momentum"])
    wide = [
        Extension("sgd", 1, "lr", "high", beyond),
        Extension("momentum", 1, "lr", "high", beyond),
        Extension("momentum", 0, "momentum", "low", LogUniform(5e-4, 5e-3, one_minus=True)),
    ]
    trials = trials_of(edge_blocks(spec, entered, make_plan(entered), wide))
    assert Counter((t.contender, t.study) for t in trials) == {("sgd", 1): 4, ("momentum", 1): 4, ("momentum", 0): 4}
    assert {t.point for t in trials} == {16, 17, 18, 19}
    assert all((t.stage, t.seed) == (Stage.EDGE, 0) for t in trials)
    rates = {
        label: [t.configuration["lr"] for t in trials if (t.contender, t.study) == (label, 1)]
        for label in ("sgd", "momentum")
    }
    assert rates["sgd"] == rates["momentum"] == [beyond.value(point[0]) for point in sobol(2, 1, 0, "edge", 4)]
    momenta = [t.configuration["momentum"] for t in trials if t.study == 0]
    assert all(0.995 <= momentum <= 0.9995 for momentum in momenta)  # its own range is extended
    assert all(1e-5 <= t.configuration["lr"] <= 1 for t in trials if t.study == 0)  # and no other
    assert [extension_trials(n) for n in (1, 3, 4, 7, 8, 16, 32)] == [0, 0, 1, 1, 2, 4, 8]


def test_blocks_depend_on_spec_contenders_and_plan_alone() -> None:
    spec = make_spec()
    blocks = of_all_stages(spec, FIVE, make_plan(FIVE))
    again = of_all_stages(make_spec(), make_contenders([c.rule for c in FIVE]), Plan.from_dict(stored(make_plan(FIVE))))
    assert again == blocks
    # What was measured or said beside is not in them, and the engine changes how many share a block.
    other = replace(make_plan(FIVE), reason="Another.", parameters=5, untrained=0.1)
    assert of_all_stages(spec, FIVE, other) == blocks
    looped = of_all_stages(spec, FIVE, replace(other, engine="loop"))
    assert {block.engine for block in looped} == {"loop"}
    together = {trial.id: trial for trial in trials_of(blocks)}
    assert {trial.id: trial for trial in trials_of(looped)} == together
    # Trained one by one, small blocks cost nothing, and no lane waits for the last.
    assert max(len(block.trials) for block in looped) < max(len(block.trials) for block in blocks)
    # Order of choices and extensions does not matter.
    plan, chosen, wide = make_plan(FIVE), choose(FIVE, 3), extend(FIVE, 3)
    assert confirmation_blocks(spec, FIVE, plan, chosen[::-1]) == confirmation_blocks(spec, FIVE, plan, chosen)
    same = {t.id: t for t in trials_of(edge_blocks(spec, FIVE, plan, wide))}
    assert {t.id: t for t in trials_of(edge_blocks(spec, FIVE, plan, wide[::-1]))} == same


def stored(plan: Plan) -> dict[str, Any]:
    return json.loads(json.dumps(plan.to_dict()))


def test_a_plan_is_known_by_its_dict() -> None:
    plan = replace(make_plan(FIVE, stochastic=True), objects=("sgd", "adam"), untrained=0.5)
    assert Plan.from_dict(stored(plan)) == plan


def test_contenders_that_are_no_rules_are_looped_in_blocks_of_their_own() -> None:
    plan = replace(make_plan(FIVE), objects=("sgd", "adam"))
    blocks = of_all_stages(make_spec(), FIVE, plan)
    assert {plan.engine_of(contender.label) for contender in FIVE} == {"loop", "vectorized"}
    for block in blocks:
        assert {plan.engine_of(trial.contender) for trial in block.trials} == {block.engine}
    ids = sorted(trial.id for trial in trials_of(blocks))
    assert ids == sorted(trial.id for trial in trials_of(of_all_stages(make_spec(), FIVE, make_plan(FIVE))))


def test_a_contender_keeps_its_points_whoever_else_races() -> None:
    alone = make_contenders(["adam"])
    apart = {t.id: t for t in trials_of(tuning_blocks(make_spec(), alone, make_plan(alone)))}
    together = {t.id: t for t in trials_of(tuning_blocks(make_spec(), FIVE, make_plan(FIVE)))}
    assert apart == {id: trial for id, trial in together.items() if trial.contender == "adam"}


def test_trials_of_other_lengths_are_in_other_blocks() -> None:
    plan = replace(make_plan(FIVE), steps={"sgd": 400, "momentum": 400, "adagrad": 200, "rmsprop": 200, "adam": 100})
    blocks = of_all_stages(make_spec(), FIVE, plan)
    for block in blocks:
        assert {plan.steps[trial.contender] for trial in block.trials} == {block.steps}
        halved = block.stage is not Stage.CONFIRMATION
        assert block.rungs == ((block.steps // 4, block.steps // 2, block.steps) if halved else (block.steps,))
    assert len(trials_of(blocks)) == 5 * 3 * (8 + 2 + 3)


def test_checkpoints_hold_the_rungs_and_an_even_curve() -> None:
    (block,) = tuning_blocks(make_spec(studies=1), FIVE[:1], make_plan(FIVE))
    assert block.rungs == (100, 200, 400)
    assert block.checkpoints == tuple(range(20, 401, 20))
    (coarse,) = tuning_blocks(make_spec(studies=1), FIVE[:1], replace(make_plan(FIVE), evaluations=5))
    assert coarse.checkpoints == (80, 100, 160, 200, 240, 320, 400)
    (odd,) = tuning_blocks(make_spec(studies=1, steps=7), FIVE[:1], make_plan(FIVE, steps=7))
    assert odd.rungs == (1, 3, 7)
    assert odd.checkpoints == (1, 2, 3, 4, 5, 6, 7)
    (whole,) = tuning_blocks(make_spec(studies=1, halving=False), FIVE[:1], make_plan(FIVE))
    assert whole.rungs == (400,)


def test_trial_steps_by_hand() -> None:
    (block,) = tuning_blocks(make_spec(studies=1), FIVE[:1], make_plan(FIVE))
    # 8 trials to step 100, 4 to 200, 2 to 400; with a decaying schedule 8 of 100 steps, 4 of 200, 2 of 400.
    assert block.trial_steps(constant=True) == 800 + 400 + 400
    assert block.trial_steps(constant=False) == 800 + 800 + 800
    (whole,) = tuning_blocks(make_spec(studies=1, halving=False), FIVE[:1], make_plan(FIVE))
    assert whole.trial_steps(constant=True) == whole.trial_steps(constant=False) == 3200


def test_a_trial_id_names_all_that_tells_trials_apart() -> None:
    trial = PlannedTrial(Stage.CONFIRMATION, "adam", 2, 3, 11, {"lr": 0.1})
    assert trial.id == "confirmation/adam/0002/0003/0011"
