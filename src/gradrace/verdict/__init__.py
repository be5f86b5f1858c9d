"""From scores to a verdict: arrays in, frozen results out. Pure, and without torch.

Of several workloads: ``gradrace.verdict.across`` and ``ranks``, which are imported by those that need them.
"""

from gradrace.verdict.beside import (
    StepsToTarget,
    VarianceSplit,
    best_of_n,
    halving_regret,
    inclusion_flags,
    lr_robustness,
    probability_best,
    steps_to_target,
    variance_split,
)
from gradrace.verdict.compare import Decision, Pair, censor, compare, mean_interval
from gradrace.verdict.scores import Direction
from gradrace.verdict.standings import Standing, standings

__all__ = [
    "Decision",
    "Direction",
    "Pair",
    "Standing",
    "StepsToTarget",
    "VarianceSplit",
    "best_of_n",
    "censor",
    "compare",
    "halving_regret",
    "inclusion_flags",
    "lr_robustness",
    "mean_interval",
    "probability_best",
    "standings",
    "steps_to_target",
    "variance_split",
]
