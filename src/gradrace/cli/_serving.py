"""The command that serves the live page of a store's races."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gradrace.cli._app import app
from gradrace.errors import SpecError

HostOption = Annotated[
    str | None,
    typer.Option("--host", help="Address to serve at. Default: 127.0.0.1, this machine alone; others need a token."),
]
PortOption = Annotated[int | None, typer.Option("--port", help="Port to serve at; 0 for any. Default: 8765.")]
OpenOption = Annotated[bool, typer.Option("--open", help="Open the page in a browser.")]


@app.command()
def serve(
    store: Annotated[
        Path | None, typer.Argument(help="Database file of races. Default: GRADRACE_STORE, or your data folder.")
    ] = None,
    host: HostOption = None,
    port: PortOption = None,
    open_: OpenOption = False,
) -> None:
    """Serve the pages of a store's races, also while they run, until Ctrl-C."""
    from gradrace.race.places import store_path
    from gradrace.serve import serve as run
    from gradrace.serve._settings import settings_for

    path = store_path(store).absolute()

    def ready(address: str) -> None:
        tell(address, open_)
        print(f"It shows the races in {path}. Ctrl-C ends it; races go on.", flush=True)

    run(settings_for(path, host, port), ready)


@contextmanager
def live_page(
    wanted: bool, host: str | None, port: int | None, open_: bool, store: Path | None
) -> Iterator[Callable[[], None]]:
    """A server beside a race if it is wanted; yields what waits for it and says where it is.

    Raises:
        SpecError: it is not wanted, but how it shall be was given.
    """
    if not wanted:
        if host is not None or port is not None or open_:
            raise SpecError("--host, --port and --open are about the live page: give --live too.")
        yield lambda: None
        return
    from gradrace.race.places import store_path
    from gradrace.serve import Beside
    from gradrace.serve._settings import settings_for

    with Beside(settings_for(store_path(store).absolute(), host, port)) as beside:

        def announce() -> None:
            from gradrace.race.reporting import cards

            address = beside.address()
            beside.tell_cards(cards())
            tell(address, open_)

        yield announce


def tell(address: str, open_: bool) -> None:
    """Say where the page is, and open it if that was asked for."""
    print(f"Live page: {address}", file=sys.stderr, flush=True)
    if open_:
        import webbrowser

        webbrowser.open(address)
