"""A stored race as a file to look at: what the page needs of the optimizers, and writing it whole."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gradrace.errors import GradraceError, SpecError, StoreError
from gradrace.optimizers import optimizers
from gradrace.store import Store


def page_of(store: Store, race: str) -> dict[str, Any]:
    """The document of a stored race's page.

    Raises:
        StoreError: there is no such race, or it cannot be shown.
    """
    from gradrace.report.page import page_document  # which takes scipy along

    record = store.race(race)
    with as_written(record.id):
        return page_document(record, store.outcomes(record.id), store.notes(record.id), cards())


@contextmanager
def as_written(race: str) -> Iterator[None]:
    """Have whatever is raised by a stored race that gradrace did not write so become a sentence.

    A store may come from anybody, and each of its texts may be JSON that nothing here expects.
    """
    try:
        yield
    except GradraceError:
        raise
    except Exception as error:
        raise StoreError(
            f"Race '{race}' cannot be shown: the store does not hold it as gradrace writes it "
            f"({type(error).__name__}: {error}). The file was changed by another program: restore it from a copy."
        ) from error


def cards() -> dict[str, dict[str, Any]]:
    """Every optimizer's card as JSON types, with its line of PyTorch."""
    return {
        name: {
            "title": known.card.title,
            "idea": known.card.idea,
            "formula": list(known.card.formula),
            "use": known.card.use,
            "paper": known.card.paper,
            "link": known.card.link,
            "differences": list(known.card.differences),
            "code": known.code({}),
            "korean": known.card.korean and asdict(known.card.korean),
        }
        for name, known in optimizers().items()
    }


def check_page(path: Path) -> None:
    """Raise a SpecError unless a page can be drawn and written there."""
    from gradrace.report.page import check_needed

    check_needed()
    check_writable(path)


def check_writable(path: Path) -> None:
    """Raise a SpecError unless a file can be written there, before hours are spent on what it should hold."""
    folder = path.resolve().parent
    if path.is_dir() or not folder.is_dir() or not os.access(folder, os.W_OK):
        raise SpecError(
            f"The result cannot be written to '{path}': it needs a folder that exists and can be written to."
        )


def check_new(path: Path, force: bool) -> None:
    """Raise a SpecError unless a file can be written there, and, without ``force``, none is there."""
    check_writable(path)
    if path.exists() and not force:
        raise SpecError(f"The file '{path}' exists. Give another name, or --force to replace it.")


def write_whole(content: str | bytes, path: Path) -> None:
    """Write a file so that it is whole or absent."""
    new = path.with_name(path.name + ".new")
    if isinstance(content, str):
        new.write_text(content, encoding="utf-8")
    else:
        new.write_bytes(content)
    new.replace(path)
