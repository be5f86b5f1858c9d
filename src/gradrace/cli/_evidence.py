"""Commands that settle claims."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradrace.cli._app import JsonOption, LanesOption, QuietOption, StoreOption, app, print_it


@app.command()
def claims(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Claims. Default: all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter races: 10 minutes for all on two cores.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only say what is claimed, and what would refute it.")] = False,
    seed: Annotated[int, typer.Option(help="Of every race; another one repeats them afresh.")] = 0,
    lanes: LanesOption = None,
    store: StoreOption = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Race published claims about optimizers, and decide each from the outcome."""
    from gradrace.claims import claim
    from gradrace.claims import claims as known
    from gradrace.claims._settle import settle
    from gradrace.race.api import check_writable, write_json
    from gradrace.report import claims as pages

    if list_:
        print_it(pages.statements({name: claim(name) for name in names} if names else known()))
        return
    if json not in (None, "-"):
        check_writable(Path(json))
    result = settle(names or (), quick=quick, seed=seed, store=store, lanes=lanes, quiet=quiet).to_json()
    if json == "-":
        import json as json_module

        print(json_module.dumps(result, indent=1, allow_nan=False))
        return
    if json is not None:
        write_json(result, Path(json))
    print_it(pages.render(result))
