"""Commands that write a stored race for other programs: pictures for papers, tables of all trials and curves."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gradrace.cli._app import StoreOption, app
from gradrace.errors import SpecError

if TYPE_CHECKING:
    from gradrace.store import RaceRecord


@app.command()
def plot(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="File: .png, .svg or .pdf. With --kind all a folder.")],
    kind: Annotated[
        str,
        typer.Option(
            help="standings, pairs, differences, lr-sensitivity, learning-curves, budget, probability-best, "
            "steps-to-target, rungs, cost or luck; or all."
        ),
    ] = "all",
    width: Annotated[float | None, typer.Option(help="Inches. Default: as the kind needs.")] = None,
    height: Annotated[float | None, typer.Option(help="Inches. Default: as the contenders need.")] = None,
    dpi: Annotated[float, typer.Option(help="Dots per inch of a PNG.")] = 200.0,
    format_: Annotated[str | None, typer.Option("--format", help="Of a folder's pictures: png, svg or pdf.")] = None,
    style: Annotated[str, typer.Option(help="light for paper, dark for dark slides.")] = "light",
    lang: Annotated[str, typer.Option(help="Language of the words: en or ko.")] = "en",
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    store: StoreOption = None,
) -> None:
    """Draw a stored race for a paper or a slide: PNG, SVG or PDF, of the size you need."""
    from gradrace.race.api import store_path
    from gradrace.race.exporting import draw_files, picture_files, write_all
    from gradrace.race.reporting import page_of
    from gradrace.store import open_store

    files = picture_files(kind, out, format_, lang, style, force)
    with open_store(store_path(store), must_exist=True) as opened:
        document = page_of(opened, race)
    drawn, remarks = draw_files(document, files, dpi, lang=lang, width=width, height=height, style=style)
    for line in write_all(drawn):
        print(line)
    for line in remarks:
        print(line, file=sys.stderr)


@app.command()
def export(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="All trials: .csv, .parquet or .json; a folder gets the curves as well."),
    ] = None,
    curves: Annotated[Path | None, typer.Option(help="All curves, a row for each point: the same formats.")] = None,
    to: Annotated[str | None, typer.Option(help="A tracker to log to instead: tensorboard or mlflow.")] = None,
    into: Annotated[
        str | None, typer.Option(help="Where it logs: a folder, or a tracking URI of MLflow. Default: its own.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
    store: StoreOption = None,
) -> None:
    """Write all trials and curves of a stored race as tables, with every digit; or log them to a tracker."""
    from gradrace.race.api import store_path
    from gradrace.race.exporting import table_files, tables, write_all
    from gradrace.store import open_store

    if to is not None or into is not None:
        _log(race, to, into, [name for name, given in (("-o", out), ("--curves", curves)) if given], store)
        return
    files = table_files(out, curves, force)
    with open_store(store_path(store), must_exist=True) as opened:
        written = tables(opened, race, files)
        record = opened.race(race)
    for line in write_all(written):
        print(line)
    _not_final(record)


def _log(race: str, to: str | None, into: str | None, tables: list[str], store: Path | None) -> None:
    from gradrace.race.api import store_path
    from gradrace.race.trackers import check_target, log_to
    from gradrace.store import open_store

    if to is None:
        raise SpecError(f"--into {into} says where to log, but not to what: give --to tensorboard or --to mlflow too.")
    if tables:
        raise SpecError(
            f"--to {to} logs to a tracker, and {' and '.join(tables)} writes tables: give one or the other."
        )
    check_target(to)
    with open_store(store_path(store), must_exist=True) as opened:
        print(log_to(opened, race, to, into))
        record = opened.race(race)
    _not_final(record)


def _not_final(record: RaceRecord) -> None:
    if record.status != "finished":
        print(f"Race {record.id} has not finished: these are the trials that ended so far.", file=sys.stderr)
