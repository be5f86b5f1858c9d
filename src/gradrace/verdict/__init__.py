"""From scores to a verdict: arrays in, frozen results out. Pure, and without torch.

Of several workloads: ``gradrace.verdict.across`` and ``ranks``, which are imported by those that need them.
"""

from gradrace.verdict.beside import VarianceSplit, halving_regret, inclusion_flags, variance_split
from gradrace.verdict.budget import (
    best_of_n,
    best_of_n_by_study,
    bootstrap_interval,
    probability_best,
    probability_best_by_study,
)
from gradrace.verdict.compare import FEWEST_STUDIES, Decision, Pair, Reason, censor, compare, mean_interval
from gradrace.verdict.length import LateGain, OrderChange, late_gain, order_changes
from gradrace.verdict.robustness import LrRange, Robustness, decades, lr_range, robustness
from gradrace.verdict.scores import Direction
from gradrace.verdict.standings import Standing, standings
from gradrace.verdict.target import (
    LearningCurve,
    StepsInterval,
    StepsToTarget,
    arrival,
    race_target,
    steps_to_target,
    steps_to_target_interval,
)
from gradrace.verdict.unpaired import compare_unpaired

__all__ = [
    "FEWEST_STUDIES",
    "Decision",
    "Direction",
    "LateGain",
    "LearningCurve",
    "LrRange",
    "OrderChange",
    "Pair",
    "Reason",
    "Robustness",
    "Standing",
    "StepsInterval",
    "StepsToTarget",
    "VarianceSplit",
    "arrival",
    "best_of_n",
    "best_of_n_by_study",
    "bootstrap_interval",
    "censor",
    "compare",
    "compare_unpaired",
    "decades",
    "halving_regret",
    "inclusion_flags",
    "late_gain",
    "lr_range",
    "mean_interval",
    "order_changes",
    "probability_best",
    "probability_best_by_study",
    "race_target",
    "robustness",
    "standings",
    "steps_to_target",
    "steps_to_target_interval",
    "variance_split",
]
