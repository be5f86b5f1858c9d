"""Making the evidence file: the primer's suite and all claims, in one store, by one command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gradrace._version import __version__
from gradrace.claims import settle
from gradrace.evidence import FILE
from gradrace.race.orchestrator import machine
from gradrace.race.suite import race_suite
from gradrace.workloads import workload
from gradrace.workloads._kinds import kind_of

SCHEMA = 1
SUITE = "primer"
MOST_BYTES = 2_000_000
KEPT = (
    "optimizer",
    "label",
    "place",
    "tied_with",
    "configuration",
    "code",
    "validation",
    "test",
    "lr_robustness_decades",
    "lr_robustness_interval",
    "lr_safe_range",
    "diverged",
    "trials",
    "steps_to_target",
    "step_seconds",
    "state_bytes_per_parameter",
)
"""What is kept of a row of standings."""


def make_evidence(
    *,
    quick: bool = False,
    seed: int = 0,
    store: str | Path | None = None,
    lanes: int | None = None,
    quiet: bool = True,
) -> dict[str, Any]:
    """Race the primer's suite, settle all claims, and put what was found into one document.

    What the store holds already is read: a stopped run goes on where it stopped.

    Args:
        quick: short races and the quick claims, to try the whole; not what is shipped.
        seed: of every race.
        store: the database file; by default the user's own, or what ``GRADRACE_STORE`` names.
        lanes: processes that train; one for each core by default.
        quiet: show no progress.
    """
    common = {"seed": seed, "store": store, "lanes": lanes, "quiet": quiet}
    suite = race_suite(SUITE, budget="quick" if quick else "standard", **common)
    claims = settle(quick=quick, **common).to_json()
    command = "gradrace evidence" + (" --quick" if quick else "") + (f" --seed {seed}" if seed else "")
    return {
        "schema": SCHEMA,
        "gradrace": __version__,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "seed": seed,
        "command": command,
        "suite": rounded(suite.to_json()),
        "races": {name: rounded(_in_short(result.to_json())) for name, result in suite.races.items()},
        "claims": rounded({"quick": claims["quick"], "claims": claims["claims"]}),
    }


def _in_short(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What a table or a recommendation needs of a race."""
    work, plan = summary["workload"], summary["plan"]
    kind = kind_of(workload(work["name"]))
    return {
        "race": summary["race"]["id"],
        "kind": None if kind is None else kind.value,
        "workload": {name: work[name] for name in ("title", "stands_for", "metric", "direction", "target", "source")},
        "plan": {name: plan[name] for name in ("studies", "trials", "seeds", "steps", "batch_size", "untrained")},
        "standings": [{name: row.get(name) for name in KEPT} for row in summary["standings"]],
        "pairs": summary["pairs"],
        "recommendation": summary["recommendation"],
        "warnings": summary["warnings"],
        "seconds": summary["cost"]["seconds"],
    }


def rounded(value: Any) -> Any:
    """The same with floats of six significant digits: more are noise, and bytes."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, Mapping):
        return {name: rounded(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(inner) for inner in value]
    return value


def write_evidence(document: Mapping[str, Any], path: Path) -> int:
    """Write the document so that the file is whole or absent; returns its bytes.

    Raises:
        ValueError: it is larger than what may be shipped.
    """
    text = json.dumps(document, separators=(",", ":"), allow_nan=False) + "\n"
    size = len(text.encode())
    if size > MOST_BYTES:
        raise ValueError(f"The evidence has {size:,} bytes; at most {MOST_BYTES:,} are shipped.")
    new = path.with_name(path.name + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(path)
    return size


def shipped_path() -> Path:
    """Where the package keeps its evidence."""
    return Path(__file__).with_name(FILE)
