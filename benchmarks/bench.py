"""gradrace against its peers, in one run: ``python benchmarks/bench.py`` or ``make bench``.

Contestants take turns round after round; a figure is the median of the rounds, with the least and the greatest. Ratios
can be trusted more than figures: what else the machine does slows all of them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from sections import engine, overheads, race, scale
from sections._common import Options
from tables import Target, targets_table

SECTIONS = {"engine": engine, "race": race, "scale": scale, "overheads": overheads}
ELSEWHERE = [
    Target("drop-in optimizer step over the best torch mode (`benchmarks/optimizer_step.py`)", 1, None),
    Target("one H100: trial-steps/s over a sequential torch loop on it", 300, None),
]


def machine() -> dict[str, Any]:
    """What this runs on."""
    known = Path("/proc/cpuinfo")
    names = [line.split(":", 1)[1].strip() for line in known.read_text().splitlines() if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor() or platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "simd": torch.backends.cpu.get_cpu_capability(),
        "date": datetime.now(UTC).date().isoformat(),
    }


def measure(options: Options, only: list[str], keep: Callable[[dict[str, Any]], None], before: dict[str, Any]) -> None:
    """Everything, as JSON types. It is kept after each section: a later one that fails takes none with it.

    ``before``: what was measured earlier, of which other sections and workloads are kept.
    """
    absent: list[str] = list(before.get("absent", []))
    found: dict[str, Any] = dict(before.get("sections", {}))
    start = time.perf_counter() - before.get("seconds_in_all", 0.0)
    command = " ".join(["python benchmarks/bench.py", *sys.argv[1:]])
    if before:
        command = f"{before['command']}` and then `{command}"
    for name in only:
        more: dict[str, Any] = {}
        if name == "overheads" and "engine" in found:
            more["rates"] = {key: row["rates"]["gradrace"] for key, row in found["engine"]["workloads"].items()}
        earlier = found.get(name, {}).get("workloads", {})
        found[name] = SECTIONS[name].measure(options, absent, **more)
        if earlier:
            found[name]["workloads"] = {**earlier, **found[name]["workloads"]}
        taken = time.perf_counter() - start
        run = {"command": command, "rounds": options.rounds, "seconds_in_all": taken}
        keep({"machine": machine(), **run, "absent": absent, "sections": found})


def markdown(document: dict[str, Any]) -> str:
    """The page."""
    here, found = document["machine"], document["sections"]
    lines = [
        "# gradrace against its peers",
        "",
        f"Measured on {here['date']} in {document['seconds_in_all'] / 60:.0f} minutes: {here['processor']}, "
        f"{here['cores']} cores, {here['simd']}, {here['system']}, Python {here['python']}, torch {here['torch']}. "
        "Contestants took turns, round after round. Figures are medians of "
        f"{document['rounds']} rounds, with the least and the greatest in brackets.",
        "",
        f"To repeat it: `make bench`; this was `{document['command']}`.",
        "",
        *(f"- {line}" for line in document["absent"]),
        *([""] if document["absent"] else []),
        "## Targets",
        "",
    ]
    targets = [target for name, section in SECTIONS.items() for target in section.targets(found.get(name))]
    lines += targets_table([*targets, *ELSEWHERE])
    for name, section in SECTIONS.items():
        if name not in found:
            continue
        values = found[name]
        lines += ["", f"## {section.TITLE}", "", section.ABOUT, "", *section.lines(values)]
    return "\n".join(lines).rstrip() + "\n"


def installed() -> list[str]:
    """Built-in workloads that can be raced here."""
    from gradrace.errors import GradraceError
    from gradrace.workloads import fetch_data, workloads

    names = []
    for name, work in workloads().items():
        try:
            fetch_data([name])
            _ = work.experience(0) if work.experience is not None else work.splits
        except GradraceError as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
        else:
            names.append(name)
    return names


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS), metavar="SECTION")
    parser.add_argument("--workloads", nargs="+", help="of the engine's section; by default all built-in ones")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of a contestant's turn on a workload")
    parser.add_argument(
        "--add", action="store_true", help="keep what else the JSON file holds: other sections, other workloads"
    )
    parser.add_argument("--full", action="store_true", help="peers do the whole job, not a share of it")
    parser.add_argument("--markdown", default="docs/benchmarks.md", help="'-' for standard output")
    parser.add_argument("--json", default="docs/benchmarks.json", help="'-' for standard output")
    given = parser.parse_args()
    names = given.workloads or (installed() if {"engine", "overheads"} & set(given.only) else [])
    ordered = [name for name in SECTIONS if name in given.only]

    def keep(document: dict[str, Any]) -> None:
        whole = set(document["sections"]) >= set(ordered)
        for path, text in ((given.json, json.dumps(document, indent=1) + "\n"), (given.markdown, markdown(document))):
            if path != "-":
                Path(path).write_text(text, encoding="utf-8")
            elif whole:
                print(text, end="")

    before = json.loads(Path(given.json).read_text(encoding="utf-8")) if given.add else {}
    measure(Options(given.rounds, given.seconds, tuple(names), given.full), ordered, keep, before)


if __name__ == "__main__":
    main()
