"""A page for each claim: what was said, what would refute it, and what the shipped races say."""

from __future__ import annotations

from typing import Any

from markup import page, table

from gradrace.claims import Claim, claims
from gradrace.evidence import evidence

MARKS = {True: "yes", False: "no", None: "open"}


def pages() -> dict[str, str]:
    """Every claim's page and their index, by address."""
    known, found = claims(), {row["claim"]: row for row in evidence()["claims"]["claims"]}
    rows = [
        [f"[{name}]({name}.md)", claim.title, found[name]["decision"] if name in found else "not raced yet"]
        for name, claim in known.items()
    ]
    index = [
        "# Claims",
        "",
        "Published statements about optimizers. Each says beforehand what would refute it; the decision is computed "
        "from races alone. A claim that fails here fails on these small tasks, with these budgets.",
        "",
        *table(("claim", "what it says", "decision"), rows),
    ]
    made = {f"claims/{name}.md": _page(claim, found.get(name)) for name, claim in known.items()}
    return {"claims/index.md": page(index), **made}


def _page(claim: Claim, found: dict[str, Any] | None) -> str:
    lines = [f"# {claim.title}", "", f"`gradrace claims {claim.name}`", "", claim.statement, ""]
    lines += [f"**Source:** {claim.source}", "", f"**What would refute it:** {claim.refuted_by}", ""]
    if found is None:
        return page([*lines, "The shipped evidence does not hold it yet."])
    rows = [[MARKS[check["so"]], check["part"], check["evidence"], check["more"] or ""] for check in found["checks"]]
    lines += [f"## Outcome: {found['decision']}", ""]
    return page([*lines, *table(("", "part", "what was found", "what would decide it"), rows)])
