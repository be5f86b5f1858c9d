"""What the whole suite found, shipped with the package: the primer's table and the claims, without racing."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

from gradrace.errors import SpecError

FILE = "evidence.json"


@cache
def evidence() -> dict[str, Any]:
    """The evidence file of this version, as JSON types.

    Keys: ``schema``, ``gradrace``, ``created``, ``machine``, ``seed``, ``command``; ``suite``, as ``report.suite``
    makes it; ``races``, by workload a race's standings, pairs and warnings, with the workload's kind; ``claims``, as
    ``gradrace claims --json`` writes them.

    Raises:
        SpecError: this installation has none.
    """
    path = files("gradrace.evidence") / FILE
    if not path.is_file():
        raise SpecError("This installation of gradrace holds no evidence file. Make one: gradrace evidence")
    return json.loads(path.read_text(encoding="utf-8"))
