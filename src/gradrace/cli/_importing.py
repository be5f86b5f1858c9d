"""The command that judges runs which were trained elsewhere."""

from __future__ import annotations

from typing import Annotated

import typer

from gradrace.cli._app import JsonOption, StoreOption, app, check_json, show_summary
from gradrace.errors import SpecError


@app.command("import")
def import_(
    source: Annotated[
        str, typer.Argument(help="A CSV; or Optuna's storage: a URL, a database file (.db) or a journal (.log).")
    ],
    metric: Annotated[
        str | None, typer.Option(help="What the values are called, and their column. Default: score.")
    ] = None,
    direction: Annotated[str | None, typer.Option(help="min or max: which is better.")] = None,
    name: Annotated[str | None, typer.Option(help="What the runs were of. Default: the file's name.")] = None,
    unit: Annotated[
        str,
        typer.Option(help="study; or seed, for contenders that were tuned once: the luck of tuning is then not in it."),
    ] = "study",
    scored: Annotated[
        str, typer.Option(help="By confirmed runs; or best, the best validation value of each study, which flatters.")
    ] = "confirmed",
    paired: Annotated[
        bool | None,
        typer.Option("--paired/--unpaired", help="Default: paired if studies and seeds have the same names."),
    ] = None,
    columns: Annotated[
        str, typer.Option(help="Columns that are called otherwise: contender=optimizer,test=val_acc.")
    ] = "",
    by: Annotated[str | None, typer.Option(help="Of Optuna's trials the parameter that names the contender.")] = None,
    store: StoreOption = None,
    json: JsonOption = None,
) -> None:
    """Judge runs that were trained elsewhere, and print the verdict. They become a stored race."""
    from typing import Any

    from gradrace.race.imports.entering import import_runs

    check_json(json)
    options: dict[str, Any] = {"metric": metric, "direction": direction, "name": name, "unit": unit, "scored": scored}
    found = import_runs(source, **options, paired=paired, columns=_columns(columns), by=by, store=store)
    show_summary(found.to_json(), json)


def _columns(words: str) -> dict[str, str]:
    """Columns by name, from ``ours=theirs,ours=theirs``."""
    pairs = [word.partition("=") for word in words.split(",") if word.strip()]
    for ours, equals, theirs in pairs:
        if not (equals and ours.strip() and theirs.strip()):
            raise SpecError(f"--columns '{words}' must say which is which: contender=NAME, with commas between.")
    return {ours.strip(): theirs.strip() for ours, _, theirs in pairs}
