"""Choi et al. 2019: tuned, the more general optimizer never loses to its special case."""

from __future__ import annotations

from collections.abc import Mapping

from gradrace.claims._base import Asked, Check, Claim
from gradrace.claims._judge import not_worse
from gradrace.claims._raced import Raced
from gradrace.race.spec import Contender
from gradrace.space import LogUniform

PAIRS = (("momentum", "sgd"), ("adam, eps tuned", "momentum"), ("adam, eps tuned", "rmsprop"))
WORKLOADS = ("digits", "forecast")


def contenders() -> tuple[Contender, ...]:
    """The chain of inclusions, each range reaching its special case, and Adam as it is usually tuned."""
    lr = LogUniform(1e-4, 10)
    return (
        Contender("sgd", space={"lr": lr}),
        Contender("momentum", space={"momentum": LogUniform(1e-2, 1, one_minus=True)}),
        Contender("rmsprop"),
        Contender("adam", label="adam, eps tuned", space={"lr": LogUniform(1e-5, 10), "eps": LogUniform(1e-8, 10)}),
        Contender("adam", label="adam, eps held", hyper={"eps": 1e-8}),
    )


def races(quick: bool) -> dict[str, Asked]:
    """The chain on digits, in the full suite also on the weather."""
    options = (
        {"studies": 5, "trials": 32, "seeds": 3, "steps": 300} if quick else {"studies": 8, "trials": 32, "seeds": 4}
    )
    names = WORKLOADS[:1] if quick else WORKLOADS
    return {name: Asked(name, contenders(), options) for name in names}


def judge(found: Mapping[str, Raced]) -> list[Check]:
    """The general form is as good as its special case, for every inclusion on every workload."""
    parts = len(PAIRS) * len(found)
    checks = []
    for raced in found.values():
        for general, special in PAIRS:
            check = not_worse(raced, general, special, parts)
            held = raced.mean("adam, eps held")
            numbers = {**check.numbers, "with eps held at 1e-8": held}
            checks.append(Check(check.part, check.so, check.evidence, check.more, numbers))
    return checks


claim = Claim(
    name="inclusion",
    title="Tuned, the more general never loses to its special case",
    source="D. Choi, C. J. Shallue, Z. Nado, J. Lee, C. J. Maddison, G. E. Dahl, On Empirical Comparisons of "
    "Optimizers for Deep "
    "Learning (2019), https://arxiv.org/abs/1910.05446",
    statement="SGD is Momentum with momentum 0; Momentum is Adam with a large eps; RMSprop is Adam with beta1 = 0. "
    "Tuned well, "
    "the more general one is never worse.",
    refuted_by="A tuned special case is better than its tuned general form by more than 5 % of the best one's gain.",
    races=races,
    judge=judge,
)
