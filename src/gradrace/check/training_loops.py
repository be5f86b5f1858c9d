"""What a training loop of one's own must do: report in order, repeat itself for a seed, and learn.

Each check takes a workload and gives the sentences of what it fails; none means that it passed.
"""

from __future__ import annotations

import math

from gradrace.check.workloads import LEARNING_STEPS, RATES, STREAM, other_randomness, setups
from gradrace.engine.own_loop import OwnLoop
from gradrace.engine.trial import Training, Trials
from gradrace.randomness import Stream
from gradrace.workloads import Workload

REPEATED_STEPS = 20


def _trials(workload: Workload, rates: tuple[float, ...], stream: Stream = STREAM) -> Trials:
    return OwnLoop(workload).start(setups(rates, stream), Training(workload.steps, workload.batch_size))


def reports(workload: Workload) -> list[str]:
    """It yields steps that rise, with the metrics that were named."""
    trials = _trials(workload, (1e-3,))
    trials.train(min(workload.steps, LEARNING_STEPS))
    failures = [failure for failure in trials.failures() if failure]
    trials.keep([])
    return failures


def repeats(workload: Workload) -> list[str]:
    """One seed gives the same values again, whatever else has happened, and another seed gives others."""
    values = []
    for randomness, stream in ((1, STREAM), (2, STREAM), (1, (0, 0, 1))):
        with other_randomness(randomness):
            trials = _trials(workload, (1e-3,), stream)
            trials.train(min(workload.steps, REPEATED_STEPS))
            values.append(trials.evaluate("validation").metric)
            trials.keep([])
    found = []
    if values[0] != values[1]:
        found.append(
            f"The same seed gives {values[0][0]} and then {values[1][0]}: something random does not follow from seed."
        )
    if values[0] == values[2]:
        found.append(
            "Another seed gives the same values, so that seeds would not show luck: draw everything from seed."
        )
    return found


def learning(workload: Workload) -> list[str]:
    """Adam, at the best of a few learning rates, moves the metric in its direction."""
    trials = _trials(workload, RATES)
    trials.train(1)
    before = trials.evaluate("validation").loss
    trials.train(workload.steps)
    after = [loss if math.isfinite(loss) else math.inf for loss in trials.evaluate("validation").loss]
    trials.keep([])
    best = after.index(min(after))
    if not after[best] < before[best]:
        direction, sign = ("fall", 1) if workload.scored_by.direction == "min" else ("rise", -1)
        return [
            f"'{workload.scored_by.name}' should {direction}, but goes from {sign * before[best]:.4g} at the first "
            f"report to {sign * after[best]:.4g} after {workload.steps} steps of Adam at the best of {len(RATES)} "
            "learning rates. Is the direction right?"
        ]
    return []
