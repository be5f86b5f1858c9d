"""What the summary and the terminal say beside the verdict, on cases worked by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from stored_race import A, B, confirmed, notes, outcome, record, tuned

from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.race.rungs import rung_steps
from gradrace.report import summarize, terminal
from gradrace.report.tuning import RUNG_PARTS, checkpoint, halving_regrets

STEPS = [5, 10, 15, 20]


def on_the_way(label: str, *studies: tuple[float, float, float]) -> list[Outcome]:
    """Confirmation of two seeds with these validation values at half, three quarters and the end of 20 steps."""
    found = []
    for study, values in enumerate(studies):
        curve = Curve(STEPS, [1.0] * 4, [0.2, *values], [1.0] * 4)
        for seed in (1, 2):
            about = {"seed": seed, "point": 2, "stage": Stage.CONFIRMATION, "value": values[2], "test": 0.9}
            found.append(outcome(label, study, curve=curve, **about))
    return found


def test_safe_range_and_bands_by_hand() -> None:
    # In every study lr 0.01 and 0.1 are within 5 % of the best; one decade, everywhere the same.
    summary = summarize(record(), [*tuned(), *confirmed(A, B)], notes())
    row = summary["standings"][0]
    assert row["lr_robustness_decades"] == pytest.approx(1.0)
    assert row["lr_robustness_interval"] == pytest.approx([1.0, 1.0])
    assert row["lr_safe_range"] == pytest.approx([0.01, 0.1])
    budget = summary["budget"]
    # Both contenders have the same trials: an even chance for every n, in every study.
    assert budget["probability_best_by_n"] == {label: pytest.approx([0.5] * 4) for label in "ab"}
    assert budget["probability_best_band"]["a"] == [pytest.approx([0.5, 0.5])] * 4
    assert budget["probability_best"]["a"] == {"1": pytest.approx(0.5), "4": pytest.approx(0.5)}
    assert budget["best_of_n_band"]["a"] == [pytest.approx([mean, mean]) for mean in budget["best_of_n"]["a"]]
    assert budget["best_of_n"]["a"][0] == pytest.approx((0.5 + 0.88 + 0.9 + 0.2) / 4)


def test_bands_widen_with_the_studies_and_are_the_same_each_time() -> None:
    better = [replace(o, contender="a", validation=0.95, curve=Curve([10, 20], [1, 1], [0.95, 0.95], [1, 1]))
              for o in tuned() if o.contender == "a" and o.study == 0 and o.point == 2]  # fmt: skip
    trials = [*[o for o in tuned() if o.trial != better[0].trial], *better]
    budget = summarize(record(), [*trials, *confirmed(A, B)], notes())["budget"]
    # With all four trials the best are 0.95, 0.9, 0.9: mean 0.9167, se 0.01667, t(0.975; 2) = 4.3027.
    assert budget["best_of_n_band"]["a"][3] == pytest.approx([0.916667 - 0.071711, 0.916667 + 0.071711], abs=1e-5)
    # a wins the first study and ties the others; of three studies the band is their span.
    assert budget["probability_best_by_n"]["a"][3] == pytest.approx(2 / 3)
    assert budget["probability_best_band"]["a"][3] == pytest.approx([0.5, 1.0])
    assert budget["probability_best_band"]["b"][3] == pytest.approx([0.0, 0.5])
    assert summarize(record(), [*trials, *confirmed(A, B)], notes())["budget"] == budget


def test_a_declared_target_and_the_races_own() -> None:
    summary = summarize(record(target=0.8), [*tuned(), *confirmed(A, B)], notes())
    assert summary["target"] == {"value": 0.8, "source": "workload"}
    row = summary["standings"][0]
    assert (row["steps_to_target_interval"], row["steps_to_target_level"]) == ([10, 10], 0.75)
    assert row["seconds_to_target_interval"] == pytest.approx([0.02, 0.02])
    # The best contender's validation mean is 0.9; untrained it was 0.1: 0.9 - 0.05 * 0.8.
    stored = record(target=None)
    stored.plan["untrained"] = 0.1
    summary = summarize(stored, [*tuned(), *confirmed(A, B)], notes())
    assert summary["target"] == {"value": pytest.approx(0.86), "source": "race"}
    assert summary["standings"][0]["steps_to_target"] == 10
    text = " ".join(terminal.as_text(terminal.render(summary)).split())
    assert "target: validation accuracy 0.86 (95 % of what the best contender gained)" in text
    assert "certainty of 75 % (95 % takes 6 studies)" in text
    stored.plan["untrained"] = 0.9
    assert summarize(stored, [*tuned(), *confirmed(A, B)], notes())["target"] is None


def test_runs_that_never_arrive_and_studies_without_a_choice_are_censored() -> None:
    slow = [replace(o, curve=Curve([10, 20], [1, 1], [0.1, 0.9], [1, 1])) for o in confirmed(A, B)]
    kept = [o for o in slow if not (o.contender == "b" and o.study == 2)]  # nothing to confirm in b's last study
    summary = summarize(record(target=0.8), [*tuned(), *kept], notes())
    a, b = summary["standings"]
    assert (a["steps_to_target"], a["target_reached"], a["steps_to_target_interval"]) == (20, [6, 6], [20, 20])
    assert (b["steps_to_target"], b["target_reached"], b["steps_to_target_interval"]) == (20, [4, 6], [20, None])
    assert b["seconds_to_target_interval"] == [pytest.approx(0.04), None]
    assert "20 [20, later] 4/6" in terminal.as_text(terminal.render(summary))


def test_halving_regret_is_that_of_the_same_curves() -> None:
    # At a quarter (5 steps) the points 0 and 1 lead, at the end point 3 has 0.9 and the best of the two 0.7.
    at_quarter, at_end = (0.6, 0.5, 0.3, 0.2), (0.4, 0.7, 0.1, 0.9)
    trials = [
        outcome("a", study, point=p, value=at_end[p], curve=Curve([5, 20], [1, 1], [at_quarter[p], at_end[p]], [1, 1]))
        for study in range(3)
        for p in range(4)
    ]
    # At half of the steps there is no checkpoint: the last before it counts, by which point 0 stays, with 0.4.
    assert halving_regrets(trials, 20, "max") == pytest.approx([0.5] * 3)
    other = [o for o in tuned() if o.contender == "b"]
    stored = record(halving=False, schedule="constant")
    summary = summarize(stored, [*trials, *other, *confirmed(A, B)], notes())
    a, b = summary["standings"]
    assert a["halving_regret"] == {"mean": pytest.approx(0.5), "worst": pytest.approx(0.5), "studies": 3}
    assert b["halving_regret"] is None  # its curves begin at 10 steps, so who would have been dropped is not known
    assert "0.5 (most 0.5)" in terminal.as_text(terminal.render(summary))
    # The middle of a decaying schedule says nothing, and a race that halved has nothing to compare with.
    for stored in (record(halving=False), record(schedule="constant")):
        summary = summarize(stored, [*trials, *other, *confirmed(A, B)], notes())
        assert [row["halving_regret"] for row in summary["standings"]] == [None, None]
        assert "halving costs" not in terminal.as_text(terminal.render(summary))


def test_a_trial_that_diverged_is_not_judged_by_what_it_was_worth_before() -> None:
    def trial(point: int, *values: float) -> Outcome:
        return outcome("a", 0, point=point, value=values[-1], curve=Curve([5, 10, 20], [1] * 3, [*values], [1] * 3))

    gone = outcome(
        "a", 0, point=2, value=None, status=Status.DIVERGED, curve=Curve([5, 10], [1] * 2, [0.9] * 2, [1] * 2)
    )
    gone = replace(gone, steps=12, diverged_at=12)
    # At 5 steps points 2 and 1 lead, at 10 point 2 alone, which then diverges: the choice counts as the worst that
    # ended, 0.5, and not as the 0.9 it once had.
    trials = [trial(0, 0.4, 0.5, 0.7), trial(1, 0.5, 0.5, 0.5), gone, trial(3, 0.1, 0.1, 0.8)]
    assert halving_regrets(trials, 20, "max") == pytest.approx([0.3])


def test_the_rungs_of_the_regret_are_those_of_a_race() -> None:
    for steps in (4, 7, 100, 801):
        assert tuple(max(1, steps // part) for part in RUNG_PARTS) == rung_steps(steps, halving=True)


def test_the_nearest_checkpoint_at_or_before() -> None:
    trial = outcome("a", 0, curve=Curve(STEPS, [1.0] * 4, [0.1] * 4, [1.0] * 4))
    assert [checkpoint([trial], at) for at in (4.9, 5, 14, 15, 99)] == [None, 5, 10, 15, 20]


def test_the_shares_of_luck_are_shown() -> None:
    # Study means 0.81 0.82 0.82 of a pair each 0.02, 0.02 and 0.06 apart: all from seeds.
    text = terminal.as_text(terminal.render(summarize(record(), [*tuned(), *confirmed(A, B)], notes())))
    row = next(line for line in text[text.index("Beside the verdict") :].splitlines() if line.split()[:1] == ["b"])
    assert row.rstrip().endswith("0 % / 100 %")
    assert "share that came from tuning" in text


class TestLength:
    flat = ((0.80, 0.80, 0.80), (0.81, 0.81, 0.81), (0.82, 0.82, 0.82))

    def warnings(self, a: list[Outcome], b: list[Outcome], schedule: str = "constant") -> list[str]:
        return summarize(record(schedule=schedule), [*tuned(), *a, *b], notes())["warnings"]

    def test_an_order_that_changes_is_told_with_its_values(self) -> None:
        rising = on_the_way("a", (0.70, 0.90, 0.90), (0.71, 0.91, 0.91), (0.73, 0.92, 0.92))
        (found,) = (w for w in self.warnings(rising, on_the_way("b", *self.flat)) if "The length of the race" in w)
        assert found == (
            "The length of the race decides between b and a: at step 10 of 20 b was ahead (validation accuracy 0.81 "
            "against 0.7133), at the end a is (0.81 against 0.91, in the same order). A longer race would probably "
            "favour a, a shorter one b."
        )
        decaying = self.warnings(rising, on_the_way("b", *self.flat), schedule="cosine")
        assert not any("The length of the race" in w for w in decaying)

    def test_contenders_of_different_length_are_not_compared_half_way(self) -> None:
        rising = on_the_way("a", (0.70, 0.90, 0.90), (0.71, 0.91, 0.91), (0.73, 0.92, 0.92))
        stored = record(schedule="constant")
        stored.plan["steps"] = {"a": 20, "b": 10}
        found = summarize(stored, [*tuned(), *rising, *on_the_way("b", *self.flat)], notes())["warnings"]
        assert not any("The length of the race" in w for w in found)

    def test_curves_that_still_rise_are_told_once_for_all(self) -> None:
        # From the first point, 0.2: a gains 0.2 of 0.71 late, b nothing.
        rising = on_the_way("a", (0.5, 0.70, 0.89), (0.5, 0.71, 0.91), (0.5, 0.72, 0.93))
        (found,) = (w for w in self.warnings(rising, on_the_way("b", *self.flat)) if "Still improving" in w)
        assert "when the race ended: a (28 % of its gain came after step 15 of 20). In a longer race it would" in found
        again = [replace(o, contender="b") for o in rising]
        (found,) = (w for w in self.warnings(rising, again) if "Still improving" in w)
        assert "step 15 of 20) and b (28 %" in found
        assert "they would probably score better" in found

    def test_the_untrained_model_is_where_improvement_begins(self) -> None:
        # From 0.2, 0.08 of 0.71 came late, 11 %; from the untrained 0, of 0.91: 9 %.
        rising = [*on_the_way("a", (0.5, 0.825, 0.90), (0.5, 0.83, 0.91), (0.5, 0.835, 0.92)),
                  *on_the_way("b", *self.flat)]  # fmt: skip
        stored = record(schedule="constant")
        assert any("a (11 %" in w for w in summarize(stored, [*tuned(), *rising], notes())["warnings"])
        stored.plan["untrained"] = 0.0
        assert not any("Still improving" in w for w in summarize(stored, [*tuned(), *rising], notes())["warnings"])

    def test_a_late_gain_of_one_study_is_luck_and_a_race_of_one_checkpoint_says_nothing(self) -> None:
        lucky = on_the_way("a", (0.80, 0.50, 0.80), (0.81, 0.81, 0.81), (0.82, 0.82, 0.82))
        assert not any("Still improving" in w for w in self.warnings(lucky, on_the_way("b", *self.flat)))
        once = [replace(o, curve=Curve([20], [1.0], [o.validation], [1.0])) for o in confirmed(A, B)]
        found = summarize(record(schedule="constant"), [*tuned(), *once], notes())["warnings"]
        assert not any("Still improving" in w or "The length" in w for w in found)

    def test_a_run_that_diverged_gains_nothing(self) -> None:
        curve = Curve(STEPS, [1.0] * 4, [0.2, None, None, None], [1.0] * 4)
        gone = [
            replace(o, validation=None, test=None, status=Status.DIVERGED, curve=curve)
            for o in on_the_way("a", *self.flat)
        ]  # fmt: skip
        found = self.warnings(gone, on_the_way("b", *self.flat))
        assert not any("Still improving" in w or "The length" in w for w in found)


def test_the_summary_is_json() -> None:
    summary = summarize(record(schedule="constant", halving=False), [*tuned(), *confirmed(A, B)], notes())
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
