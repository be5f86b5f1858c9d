"""How far a fetch is, on standard error: a bar where that is a terminal, else nothing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def bar(label: str, total: int) -> Iterator[Callable[[int, int], None]]:
    """A bar while this lasts; yields what tells it how many bytes are there."""
    from rich.console import Console
    from rich.file_proxy import FileProxy

    console = Console(file=sys.stderr)
    # A FileProxy: another live display, that of a race, has the terminal, and two would overwrite each other.
    if not console.is_terminal or isinstance(sys.stderr, FileProxy):
        yield lambda done, total: None
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, transient=True) as shown:
        task = shown.add_task(label, total=total)
        yield lambda done, total: shown.update(task, completed=done, total=total)
