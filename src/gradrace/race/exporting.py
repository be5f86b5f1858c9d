"""A stored race as files for others to use: pictures for papers, and tables of all trials and curves."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError, unknown_name
from gradrace.race.reporting import check_new, write_whole
from gradrace.report import export, pictures
from gradrace.report.words import words
from gradrace.store import Store

ALL = "all"
"""Every kind of picture that a race has something of."""


def picture_files(kind: str, out: Path, ending: str | None, lang: str, style: str, force: bool) -> dict[str, Path]:
    """Where each picture that is asked for goes, before the race is read.

    Args:
        kind: one of ``pictures.KINDS``, or "all".
        out: a file whose name ends in a format; of "all" a folder, which is made if it is not there.
        ending: format of the pictures in a folder.
        lang: language of the words.
        style: light or dark.
        force: replace what is there.

    Raises:
        SpecError: there is no such kind, format, language or style, or a file cannot be written or exists.
    """
    pictures.check_needed()
    if kind == ALL:
        words(lang)
        ending = ending or pictures.ENDINGS[0]
        if ending not in pictures.ENDINGS:
            raise unknown_name("format of pictures", ending, pictures.ENDINGS)
        if style not in pictures.STYLES:
            raise unknown_name("style of pictures", style, pictures.STYLES)
        check_folder(out)
        found = {name: out / f"{name}.{ending}" for name in pictures.KINDS}
        for path in found.values():
            if path.exists():
                check_new(path, force)
        return found
    if kind not in pictures.KINDS:
        raise unknown_name("kind of picture", kind, (*pictures.KINDS, ALL))
    pictures.checked(kind, lang, style)
    asked = out.suffix.lower().removeprefix(".")
    if ending is not None and ending != asked:
        raise SpecError(f"--format {ending} is of the pictures in a folder; the name '{out}' says its own.")
    if not asked:
        allowed = ", ".join(f".{known}" for known in pictures.ENDINGS)
        raise SpecError(f"The name '{out}' does not say a format. Let it end in one of these: {allowed}.")
    if asked not in pictures.ENDINGS:
        raise unknown_name("format of pictures", asked, pictures.ENDINGS)
    check_new(out, force)
    return {kind: out}


def draw_files(
    document: Mapping[str, Any], files: Mapping[str, Path], dpi: float, **look: Any
) -> tuple[dict[Path, bytes], list[str]]:
    """The pictures of a race by their paths, and sentences on what is missing in them, or of them.

    Of several kinds those are left out of which the race has nothing.

    Args:
        document: of the race's page.
        files: from ``picture_files``.
        dpi: dots per inch.
        look: language, size and style: see ``pictures.draw``.

    Raises:
        SpecError: there is nothing to draw, or a size is not allowed.
    """
    drawn, remarks, missing = {}, [], ""
    for kind, path in files.items():
        reason = pictures.empty(document, kind, look.get("lang", "en"))
        if reason and len(files) > 1:
            remarks.append(f"{kind}: {reason}")
            continue
        content, unknown = pictures.encoded(pictures.draw(document, kind, **look), path.suffix.lower()[1:], dpi)
        drawn[path] = content
        missing += "".join(character for character in unknown if character not in missing)
    if not drawn:
        raise SpecError(f"There is nothing to draw. {' '.join(remarks)}")
    if missing:
        remarks.append(
            f"No installed font has these characters, which are shown as boxes: {missing}. Install one that has them, "
            "such as Noto Sans KR, or write an SVG, which is shown in the fonts of its reader."
        )
    return drawn, remarks


def table_files(out: Path | None, curves: Path | None, force: bool) -> dict[str, Path]:
    """Where the tables that are asked for go, before the race is read: of "trials", of "curves", or of both.

    Args:
        out: a file for the trials, whose name ends in a format; or a folder for both, as CSV.
        curves: a file for the curves.
        force: replace what is there.

    Raises:
        SpecError: nothing is asked for; there is no such format; or a file cannot be written or exists.
    """
    files: dict[str, Path] = {}
    if out is not None and (out.is_dir() or not out.suffix):
        check_folder(out)
        files = {"trials": out / "trials.csv", "curves": out / "curves.csv"}
    elif out is not None:
        files["trials"] = out
    if curves is not None:
        files["curves"] = curves
    if not files:
        raise SpecError("There is nothing to write. Give -o PATH for the trials, or --curves PATH for the curves.")
    if len(files) == 2 and files["trials"].resolve() == files["curves"].resolve():
        raise SpecError(f"Trials and curves cannot both go to '{curves}'. Give two names.")
    for path in files.values():
        export.ending_of(path)
        if path.parent != out or path.exists():
            check_new(path, force)
    return files


def tables(store: Store, race: str, files: Mapping[str, Path]) -> dict[Path, bytes]:
    """The tables of a stored race by their paths.

    Raises:
        StoreError: there is no such race, or it cannot be read.
    """
    record = store.race(race)
    outcomes, notes = store.outcomes(record.id), store.notes(record.id)
    about = {"race": record.id, "status": record.status, "version": record.version}
    made = {"trials": export.trial_columns, "curves": export.curve_columns}
    return {
        path: export.encoded(made[what](record, outcomes, notes), export.ending_of(path), about)
        for what, path in files.items()
    }


def check_folder(path: Path) -> None:
    """Raise a SpecError unless there is a folder that can be written to, or one can be made."""
    nearest = path if path.exists() else path.resolve().parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise SpecError(f"Nothing can be written to the folder '{path}': it must exist, or the one that it is in must.")


def write_all(files: Mapping[Path, str | bytes]) -> list[str]:
    """Write files, each whole or absent, making the folder they are in; and a line for each."""
    for path, content in files.items():
        path.parent.mkdir(exist_ok=True)
        write_whole(content, path)
    return [f"{path}: {path.stat().st_size:,} bytes" for path in files]
