"""What every claim is held to before any of its races: its facts, and races that can be entered."""

from __future__ import annotations

from collections.abc import Callable

from gradrace.check import KINDS, Finding, Kind
from gradrace.check.findings import ran
from gradrace.claims._base import Asked, Claim
from gradrace.claims._settle import as_entry

FEWEST_STUDIES = 3


def check_claim(claim: Claim) -> list[Finding]:
    """What every check of a claim found. Nothing is raced."""
    return [finding for name, check in CLAIM_CHECKS.items() for finding in ran(name, check, claim)]


def facts(claim: Claim) -> list[str]:
    """Name, title, source, statement and what would refute it are there, and are written as the pages need them."""
    words = {name: getattr(claim, name) for name in ("name", "title", "source", "statement", "refuted_by")}
    wrong = [
        f"Its {name} is '{text}'; it must be words without spaces around them."
        for name, text in words.items()
        if not text or text != " ".join(text.split())
    ]
    wrong += [
        f"Its {name} ends without a full stop; it is a sentence."
        for name in ("statement", "refuted_by")
        if not words[name].endswith(".")
    ]
    wrong += [
        f"Its {name} ends with a full stop, but is no sentence."
        for name in ("title", "source")
        if words[name].endswith(".")
    ]
    return wrong


def races(claim: Claim) -> list[str]:
    """Its races can be entered, have studies enough for a test, and the quick ones are shorter."""
    quick, full = claim.races(True), claim.races(False)
    wrong = [f"Race '{name}' is only raced when it is to be quick." for name in quick if name not in full]
    if not full:
        return ["It asks for no race, so nothing can refute it."]
    for kind, asked in (("quick", quick), ("full", full)):
        for name, one in asked.items():
            studies = as_entry(one, 0).spec.studies
            if studies < FEWEST_STUDIES:
                wrong.append(f"The {kind} race '{name}' has {studies} studies; a test needs {FEWEST_STUDIES}.")
    costs = [sum(map(_trial_steps, asked.values())) for asked in (quick, full)]
    if costs[0] >= costs[1]:
        wrong.append(f"Quick, its races have {costs[0]:,} trial-steps, in full {costs[1]:,}: quick must be less.")
    return wrong


def _trial_steps(asked: Asked) -> int:
    """What a race costs at most."""
    spec = as_entry(asked, 0).spec
    return len(asked.optimizers) * spec.studies * (spec.trials + spec.seeds) * spec.steps


CLAIM_CHECKS: dict[str, Callable[[Claim], list[str]]] = {"facts": facts, "races": races}
FILE_KINDS = {**KINDS, "claim": Kind("Claim", Claim, lambda item, refused: check_claim(item))}
"""What a file may define that ``gradrace check`` is given."""
