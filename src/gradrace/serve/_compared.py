"""Two races side by side, as JSON types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from gradrace.serve._followed import Followed


def compared(first: Followed, second: Followed) -> dict[str, Any]:
    """What the page of a comparison shows.

    ``races``: of each what its own page shows of it; ``differences``: what was asked for differently, by name;
    ``comparable``: whether their values are of one metric on one workload.
    """
    races = [_side(race) for race in (first, second)]
    asked = [_asked(race) for race in (first, second)]
    names = list(dict.fromkeys(name for known in asked for name in known))
    a, b = (race.workload for race in (first, second))
    return {
        "races": races,
        "differences": [
            {"name": name, "a": asked[0].get(name), "b": asked[1].get(name)}
            for name in names
            if asked[0].get(name) != asked[1].get(name)
        ],
        "comparable": all(a.get(name) == b.get(name) for name in ("name", "metric", "direction")),
    }


def _side(race: Followed) -> dict[str, Any]:
    document = race.document
    if "problem" in document:
        return {**race.light(), "problem": document["problem"]}
    rows = [
        {
            "label": row["label"],
            "place": row["place"],
            "value": row["test"]["mean"],
            "interval": row["test"]["interval"],
        }
        for row in document["summary"]["standings"]
    ] or [
        {"label": row["label"], "place": None, "value": row["validation"], "interval": None}
        for row in document["so_far"] or []
    ]
    return {
        **race.light(),
        "created": race.record.created,
        "direction": document["summary"]["workload"]["direction"],
        "final": bool(document["summary"]["standings"]),
        "verdict": race.verdict,
        "labels": document["labels"],
        "rows": rows,
        "sensitivity": document["sensitivity"],
    }


def _asked(race: Followed) -> dict[str, str]:
    """What was asked for, and on what, as texts by name."""
    numbers = race.record.spec.get("race")
    found: dict[str, Any] = {"workload": race.workload.get("name"), **(numbers if isinstance(numbers, Mapping) else {})}
    contenders = race.record.spec.get("contenders")
    for contender in contenders if isinstance(contenders, list) else []:
        if isinstance(contender, Mapping):
            described = {name: value for name, value in contender.items() if name != "label" and value}
            found[f"contender {contender.get('label')}"] = json.dumps(described, ensure_ascii=False, sort_keys=True)
    found["gradrace"] = race.record.version
    found |= {name: race.record.machine.get(name) for name in ("torch", "cores", "processor")}
    return {name: _short(value) for name, value in found.items() if value is not None}


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 200 else f"{text[:200]}…"
