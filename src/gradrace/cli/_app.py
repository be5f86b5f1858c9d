"""The command line itself, and what its commands share: options, and how a verdict is printed."""

from __future__ import annotations

import gc
import json as json_module
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradrace._version import __version__
from gradrace.race.profile import PURPOSES

if TYPE_CHECKING:
    from rich.console import RenderableType

app = typer.Typer(
    help="Race optimizers on a real task, each tuned with the same budget, and get a verdict that can be trusted.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
data_app = typer.Typer(help="The data of workloads: what there is, and fetching it beforehand.", no_args_is_help=True)
app.add_typer(data_app, name="data")


StoreOption = Annotated[
    Path | None, typer.Option("--store", help="Database file of races. Default: GRADRACE_STORE, or your data folder.")
]
JsonOption = Annotated[str | None, typer.Option("--json", help="Write the summary to PATH; '-' prints it alone.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
ProfileOption = Annotated[bool, typer.Option("--profile", help="Tell where the seconds went.")]
LanesOption = Annotated[int | None, typer.Option("--lanes", help="Processes that train. Default: one for each core.")]


def the_api() -> Any:
    """The Python door. Garbage is not looked for while it is imported: none is made, and looking takes a while."""
    gc.disable()
    try:
        from gradrace.race import api
    finally:
        gc.freeze()
        gc.enable()
    return api


def check_json(json: str | None) -> None:
    """Raise a SpecError unless JSON can be written where ``--json`` says, before hours are spent on it."""
    if json not in (None, "-"):
        from gradrace.race.reporting import check_writable

        check_writable(Path(json))


def give(document: dict[str, Any], json: str | None, render: Callable[[dict[str, Any]], RenderableType]) -> None:
    """Print a document as a page; with ``--json PATH`` write it there too, with ``--json -`` print the JSON alone."""
    if json == "-":
        print(json_module.dumps(document, indent=1, allow_nan=False))
        return
    if json is not None:
        from gradrace.race.api import write_json

        write_json(document, Path(json))
    print_it(render(document))


def show_summary(summary: dict[str, Any], json: str | None, before: float | None = None) -> None:
    """Give the verdict; with ``before``, the seconds until the race was asked for, also where the seconds went."""
    from gradrace.report import terminal

    give(summary, json, terminal.render)
    if before is not None:
        known = summary["cost"]["profile"]
        table = terminal.profile({**known, "start": before + known.get("start", 0.0)}, PURPOSES)
        if json != "-":
            print_it(table)
        else:
            from rich.console import Console

            Console(stderr=True).print(table)


@app.callback(invoke_without_command=True)
def about(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    """Race optimizers."""
    if version:
        print(f"gradrace {__version__}")
        raise typer.Exit


def print_it(what: RenderableType) -> None:
    from rich.console import Console

    from gradrace.report import terminal

    console = Console()
    if console.is_terminal:
        console.print(what, crop=False)
    else:
        print(terminal.as_text(what))
