"""Every word of the page, by language: one file of each, found by being here."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any


def languages() -> list[str]:
    """The languages there are words of, English first."""
    found = {path.name.removesuffix(".toml") for path in files(__name__).iterdir() if path.name.endswith(".toml")}
    return sorted((name for name in found if "." not in name), key=lambda name: (name != "en", name))


@cache
def words(lang: str) -> dict[str, str]:
    """The words of a language by key, such as ``standings.title``; what is in braces is filled in by the page."""
    text = files(__name__).joinpath(f"{lang}.toml").read_text(encoding="utf-8")
    return dict(_flat(tomllib.loads(text), ""))


def _flat(table: dict[str, Any], path: str) -> list[tuple[str, str]]:
    found = []
    for name, value in table.items():
        found += _flat(value, f"{path}{name}.") if isinstance(value, dict) else [(f"{path}{name}", value)]
    return found
