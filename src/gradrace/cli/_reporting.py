"""The command that writes a stored race down: as a page to look at, or as tables in Markdown or LaTeX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradrace.cli._app import StoreOption, app
from gradrace.errors import SpecError


@app.command()
def report(
    race: Annotated[str, typer.Argument(metavar="ID", help="The race's id, or its first four digits or more.")],
    html: Annotated[Path | None, typer.Option(help="Write its page to PATH: one file that opens offline.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the verdict and the standings to PATH.")] = None,
    latex: Annotated[Path | None, typer.Option(help="Write its tables to PATH, for a paper: booktabs.")] = None,
    lang: Annotated[str, typer.Option(help="Language that the page opens in: en or ko.")] = "en",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that exists.")] = False,
    store: StoreOption = None,
) -> None:
    """Write the page of a stored race, with pictures and every trial, as one HTML file; or its tables."""
    from gradrace.race.api import store_path
    from gradrace.race.reporting import check_new, check_page, page_of, write_whole
    from gradrace.report import latex as latex_page
    from gradrace.report import markdown as markdown_page
    from gradrace.report.page import page
    from gradrace.report.words import words
    from gradrace.store import open_store

    asked = [path for path in (html, markdown, latex) if path is not None]
    if not asked:
        raise SpecError("There is nothing to write. Give --html PATH for a page, --markdown PATH or --latex PATH.")
    words(lang)  # refuses a language that there is not
    if html is not None:
        check_page(html)
    for path in asked:
        check_new(path, force)
    with open_store(store_path(store), must_exist=True) as opened:
        document = page_of(opened, race)
    if html is not None:
        write_whole(page(document, lang), html)
    if markdown is not None:
        write_whole(markdown_page.render(document["summary"]), markdown)
    if latex is not None:
        write_whole(latex_page.render(document["summary"]), latex)
    for path in asked:
        print(f"{path}: {path.stat().st_size:,} bytes")
