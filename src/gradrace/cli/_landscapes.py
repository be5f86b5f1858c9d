"""The command that shows how optimizers walk: a page that needs nothing but a browser, or a still picture of each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from gradrace.cli._app import app
from gradrace.errors import SpecError


@app.command()
def landscapes(
    html: Annotated[Path, typer.Option(help="Write the page to PATH: one file that opens offline.")] = Path(
        "landscapes.html"
    ),
    optimizers: Annotated[
        str | None,
        typer.Option(help="Who walks when it opens: names or .py files, with commas. Others can be switched on."),
    ] = None,
    surface: Annotated[str | None, typer.Option(help="The surface that it opens with.")] = None,
    lang: Annotated[str, typer.Option(help="Language that the page opens in: en or ko.")] = "en",
    svg: Annotated[
        Path | None, typer.Option(help="Write no page, but a still picture of each optimizer's walk, as SVG, to DIR.")
    ] = None,
    open: Annotated[bool, typer.Option("--open", help="Open the page in a browser.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Watch optimizers walk down surfaces, from where you drag them, and see how far each gradient moves them."""
    import torch

    from gradrace.landscapes import FIRST_SHOWN, Landscapes, page, pictures
    from gradrace.race.reporting import check_writable, write_whole
    from gradrace.report.words import words

    torch.set_num_threads(1)  # of two numbers, more threads are slower
    words(lang)  # refuses a language that there is not
    names = None if optimizers is None else [name.strip() for name in optimizers.split(",")]
    if svg is not None:
        found = pictures(names, surface)
        paths = {svg / f"{name}.svg": text for name, text in found.items()}
        if not svg.exists():
            check_writable(svg)
            svg.mkdir()
    else:
        paths = {html: ""}
    for path in paths:
        check_writable(path)
        if path.exists() and not force:
            raise SpecError(f"The file '{path}' exists. Give another name, or --force to replace it.")
    if svg is None:
        paths = {html: page(Landscapes(names or FIRST_SHOWN, surface), lang)}
    for path, text in paths.items():
        write_whole(text, path)
        print(f"{path}: {path.stat().st_size:,} bytes")
    if open and svg is None:
        import webbrowser

        webbrowser.open(html.resolve().as_uri())
