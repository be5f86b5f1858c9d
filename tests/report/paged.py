"""Pages of made-up races, and what stands in them."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html.parser import HTMLParser
from typing import Any

from stored_race import A, B, confirmed, notes, outcome, record, tuned

from gradrace.outcomes import Curve, Outcome, Stage, Status

Made = tuple[Any, list[Outcome], dict[str, Any]]
"""A record, its outcomes and its notes."""

HOSTILE = "</script><script>alert(1)</script><b>x</b>"
CARDS = {
    "sgd": {
        "title": "SGD", "idea": "Down.", "formula": ["w <- w - lr * g"], "use": "Clicks.", "paper": "A paper",
        "link": "https://example.org/paper", "differences": [], "code": "torch.optim.SGD(model.parameters(), lr=0.01)",
    }
}  # fmt: skip


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text of its scripts by id."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.within = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.within = tag == "script"
        if self.within:
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self.within = False

    def handle_data(self, data: str) -> None:
        if self.within:
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))

    def document(self) -> dict[str, Any]:
        """What the page draws from."""
        (text,) = [text for attributes, text in self.scripts if attributes.get("id") == "document"]
        return json.loads(text)


def race(**changes: Any) -> Made:
    """A race of two contenders that ended."""
    return record(schedule="constant", **changes), [*tuned(), *confirmed(A, B)], notes()


def hostile() -> Made:
    """A race whose label, workload and error are HTML."""
    entered, outcomes, known = race()
    text = json.dumps([entered.spec, entered.plan, known]).replace('"a"', json.dumps(HOSTILE))
    entered.spec, entered.plan, known = json.loads(text)
    entered.plan["workload"]["name"] = HOSTILE
    renamed = [
        Outcome.from_dict({**o.to_dict(), "contender": HOSTILE if o.contender == "a" else "b"}) for o in outcomes
    ]
    failed = outcome("b", 0, point=3, value=None, status=Status.FAILED, error=f"Traceback\n{HOSTILE}\u2028")
    return entered, [*renamed[:-1], failed, renamed[-1]], known


def large(trials: int, points: int) -> Made:
    """A race of so many trials, whose curves have so many points; each dips once, and ends somewhere."""
    entered, outcomes, known = race(trials=trials // 6)
    made = [o for o in outcomes if o.stage is Stage.CONFIRMATION]
    for index in range(trials - len(made)):
        label, study, point = "ab"[index % 2], index % 3, index // 6
        values: list[float | None] = [round(0.5 + (index * 7919 + at * 104729) % 4999 / 1e4, 6) for at in range(points)]
        values[(index * 31) % points] = round(0.1 + index / 1e6, 6)
        steps = [10 * (at + 1) for at in range(points)]
        shared = Curve(steps, [0.5] * points, values, [0.2] * points)
        made.append(
            Outcome(
                trial=f"tuning/{label}/{study}/0/{point}", stage=Stage.TUNING, contender=label, study=study, seed=0,
                point=point, configuration={"lr": 10 ** (-3 + 3 * (index * 0.618 % 1))}, status=Status.FINISHED,
                steps=10 * points, validation=values[-1], validation_loss=0.2, seconds=0.123456, curve=shared,
            )
        )  # fmt: skip
    return entered, made, known


def alone() -> Made:
    """A race of one contender."""
    entered, outcomes, known = race()
    entered.spec["contenders"] = [{"label": "a"}]
    del entered.plan["contenders"]["b"]
    return entered, of(outcomes, "a"), known


def without_target() -> Made:
    """A race whose workload has no target, and whose best contender gained nothing."""
    entered, outcomes, known = race(target=None)
    entered.plan["workload"]["target"], entered.plan["untrained"] = None, 0.9
    return entered, outcomes, known


def all_diverged() -> Made:
    """A race in which nothing worked."""
    entered, _, known = race()
    gone = [
        outcome(label, s, point=p, value=None, status=Status.DIVERGED, diverged_at=3, curve=Curve())
        for label in "ab"
        for s in range(3)
        for p in range(4)
    ]
    return entered, gone, {**known, "choices": {"choices": [], "extensions": [], "left": []}}


def unfinished() -> Made:
    """A race that was stopped while it tuned."""
    entered, _, known = race()
    entered.status = "interrupted"
    return entered, tuned()[:9], {"costs": known["costs"]}


def empty() -> Made:
    """A race that has only just begun."""
    entered, _, _ = race()
    entered.status = "running"
    return entered, [], {}


ODD = {made.__name__: made for made in (hostile, alone, without_target, all_diverged, unfinished, empty)}
"""Races of which something is missing, or too much."""


def of(outcomes: Sequence[Outcome], label: str) -> list[Outcome]:
    return [known for known in outcomes if known.contender == label]


def policy(html: str) -> str:
    """The page's Content-Security-Policy."""
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert found is not None
    return found[1]
