"""What a check found, and how a check that raises is told."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch


@dataclass(frozen=True)
class Finding:
    """One check's result. ``sentence`` says what failed, or, of a check that passed, what is worth knowing.

    A check that finds several things gives a finding for each.
    """

    check: str
    passed: bool
    sentence: str = ""


class Remark(Exception):
    """A check could not be made, and that is no fault; the sentence says why."""


def told(error: BaseException) -> str:
    """An error in one line, with the user's own line that raised it."""
    inner = (str(Path(__file__).parents[1]), "importlib", "site-packages", "<frozen", "<string>", "<eval_with_key>")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not any(part in frame.filename for part in inner)
    ]
    where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno}: {frames[-1].line})" if frames else ""
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}".rstrip(": ") + where


def ran(name: str, check: Callable[[Any], Iterable[str]], subject: Any) -> list[Finding]:
    """Run one check, with torch's generator left as it was. What the check raises is a failure, too."""
    try:
        with torch.random.fork_rng(devices=[]):
            sentences = list(dict.fromkeys(check(subject)))
    except Remark as remark:
        return [Finding(name, True, str(remark))]
    except Exception as error:
        sentences = [f"It raised {told(error)}."]
    return [Finding(name, False, sentence) for sentence in sentences] or [Finding(name, True)]


def with_exemptions(findings: list[Finding], exempt: Mapping[str, str]) -> list[Finding]:
    """Failures that are declared become remarks; declarations that nothing needs become failures."""
    failed = {finding.check for finding in findings if not finding.passed}
    checks = list(dict.fromkeys(finding.check for finding in findings))
    result = []
    for check in checks:
        if check in exempt and check in failed:
            result.append(Finding(check, True, f"exempt: {exempt[check]}"))
        elif check in exempt:
            result.append(Finding(check, False, f"It is exempt from this check ({exempt[check]}), but passes it."))
        else:
            result += [finding for finding in findings if finding.check == check]
    return result
