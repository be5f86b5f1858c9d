"""Commands that settle claims, recommend, and show the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradrace.cli._app import JsonOption, LanesOption, QuietOption, StoreOption, app, check_json, give, print_it


@app.command()
def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="[NAME]...", help="Claims, or .py files that define claim. Default: all."),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter races: 10 minutes for all on two cores.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="Only say what is claimed, and what would refute it.")] = False,
    seed: Annotated[int, typer.Option(help="Of every race; another one repeats them afresh.")] = 0,
    lanes: LanesOption = None,
    store: StoreOption = None,
    json: JsonOption = None,
    quiet: QuietOption = False,
) -> None:
    """Race published claims about optimizers, and decide each from the outcome."""
    from gradrace.claims import claim, settle
    from gradrace.claims import claims as known
    from gradrace.report import claims as pages

    if list_:
        print_it(pages.statements({name: claim(name) for name in names} if names else known()))
        return
    check_json(json)
    result = settle(names or (), quick=quick, seed=seed, store=store, lanes=lanes, quiet=quiet)
    give(result.to_json(), json, pages.render)


@app.command()
def recommend(
    workload: Annotated[str, typer.Argument(help="A built-in workload, or a .py file that defines one.")] = "digits",
    race: Annotated[str | None, typer.Option(help="By this race, whatever it was on.")] = None,
    store: StoreOption = None,
    json: JsonOption = None,
) -> None:
    """Say which optimizer to try first, which second, at which rates, and what that is based on."""
    from gradrace.evidence._recommend import recommend as ask
    from gradrace.report import evidence as pages

    check_json(json)
    give(ask(workload, race=race, store=store).to_json(), json, pages.recommendation)


@app.command()
def table(
    json: JsonOption = None,
    markdown: Annotated[Path | None, typer.Option(help="Write it to PATH as Markdown.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write it to PATH for a paper, with booktabs.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
) -> None:
    """Print the primer's table with what was measured, and the claims, from the shipped evidence: nothing is raced."""
    from gradrace.evidence import evidence
    from gradrace.race.reporting import check_new, write_whole
    from gradrace.report import evidence as pages
    from gradrace.report import latex as latex_page
    from gradrace.report import markdown as markdown_page

    check_json(json)
    for path in (markdown, latex):
        if path is not None:
            check_new(path, force)
    document = evidence()
    if markdown is not None:
        write_whole(markdown_page.evidence(document), markdown)
    if latex is not None:
        write_whole(latex_page.evidence(document), latex)
    give(document, json, pages.render)


@app.command("evidence")
def evidence_(
    out: Annotated[Path | None, typer.Option(help="The file to write. Default: the package's own.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Short races, to try the whole; not what is shipped.")] = False,
    seed: Annotated[int, typer.Option(help="Of every race.")] = 0,
    lanes: LanesOption = None,
    store: StoreOption = None,
    quiet: QuietOption = False,
) -> None:
    """Race the primer's suite and all claims, and write the evidence file: about an hour on two cores."""
    from gradrace.evidence._write import make_evidence, shipped_path, write_evidence
    from gradrace.race.api import check_writable

    path = out or shipped_path()
    check_writable(path)
    document = make_evidence(quick=quick, seed=seed, store=store, lanes=lanes, quiet=quiet)
    print(f"{path}: {write_evidence(document, path):,} bytes")
