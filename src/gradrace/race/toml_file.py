"""A TOML file as tables, read with limits and without anything that takes time to import."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError

MOST_BYTES = 1_000_000
"""The size that a file may have; one for a hundred contenders has some thousand bytes."""


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file, not looked at yet.

    Raises:
        SpecError: it cannot be read, is too large, or is not TOML.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:  # the latter: a null character in the path
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise SpecError(
            f"The file '{path}' cannot be read ({reason}). Give a TOML file that describes a race."
        ) from None
    if len(content) > MOST_BYTES:
        raise SpecError(f"The file '{path}' has more than {MOST_BYTES:,} bytes, the most that is read.")
    try:
        return tomllib.loads(content.decode("utf-8"))
    except RecursionError:
        raise SpecError(f"The file '{path}' is nested too deeply to be read.") from None
    except ValueError as error:  # not UTF-8, not TOML, or a number of thousands of digits
        raise SpecError(f"The file '{path}' is not TOML: {error}.") from None
