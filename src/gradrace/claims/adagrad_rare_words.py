"""The primer on AdaGrad: rare information counts more, as in language with many rare words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import less, not_worse
from gradrace.claims._raced import Raced

DECILE = "loss decile "
"""And the tenth of articles whose loss it is, by rarity of their words, 1 being the rarest."""
RAREST, COMMONEST = (1, 2, 3), (8, 9, 10)


def races(quick: bool) -> dict[str, Asked]:
    """The five on newsgroup articles."""
    return {
        "rare-words": Asked("rare-words", options={"studies": 5, "trials": 8, "seeds": 2, "steps": 80} if quick else {})
    }


def loss_of(raced: Raced, label: str, tenths: tuple[int, ...]) -> np.ndarray:
    """Mean test loss [K] of the articles of some tenths."""
    return np.mean([raced.others(label, f"{DECILE}{tenth}").mean(axis=1) for tenth in tenths], axis=0)


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """As good as any other overall; ahead of SGD where words are rarest, and further ahead there."""
    raced = found["rare-words"]
    others = [label for label in raced.labels if label != "adagrad"]
    parts = len(others) + 2
    ahead = {ts: loss_of(raced, "sgd", ts) - loss_of(raced, "adagrad", ts) for ts in (RAREST, COMMONEST)}
    table = {
        label: {name: cell["mean"] for name, cell in raced.row(label)["others"].items() if name.startswith(DECILE)}
        for label in raced.labels
    }
    rare = less(
        "on the three tenths of articles with the rarest words adagrad's loss is below sgd's",
        loss_of(raced, "adagrad", RAREST),
        loss_of(raced, "sgd", RAREST),
        "loss",
        parts,
    )
    further = less(
        "its lead over sgd is greater there than on the three tenths with the commonest words",
        ahead[COMMONEST],
        ahead[RAREST],
        "lead on the commonest against the rarest:",
        parts,
    )
    numbers = {**rare.numbers, "loss by tenth, rarest first": table}
    rare = Check(rare.part, rare.so, rare.evidence, rare.more, numbers)
    return [*(not_worse(raced, "adagrad", other, parts) for other in others), rare, further]


claim = Claim(
    name="adagrad-rare-words",
    title="AdaGrad suits language with many rare words",
    source="the primer, on AdaGrad: language with many rare words",
    statement="AdaGrad gives each parameter its own learning rate; often-updated ones move less, and rare information "
    "counts more. So it is the choice where many words are rare.",
    refuted_by="On `rare-words` another optimizer is better by more than 5 % of the best one's gain, or SGD has the "
    "lower "
    "loss on articles of rare words, or AdaGrad's lead is greater where words are common.",
    races=races,
    judge=judge,
)
