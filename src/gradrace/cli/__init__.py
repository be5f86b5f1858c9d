"""The command line: arguments and exit codes; no logic.

What takes time to import is imported by the commands that need it, a race's after its lanes began to import.
"""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable
from typing import Any, NoReturn

from gradrace.cli import (
    _calibrating,
    _evidence,
    _exporting,
    _importing,
    _landscapes,
    _looking,
    _racing,
    _reporting,
    _serving,
)
from gradrace.cli._app import app
from gradrace.errors import GradraceError, Interrupted

__all__ = ["app", "main"]

COMMANDS = (_racing, _reporting, _exporting, _importing, _serving, _calibrating, _looking, _landscapes, _evidence)
"""Where the commands are: importing them is what registers them."""


def main() -> None:
    """Run the command line.

    Exit codes: 0 done, 1 a check failed, 2 a mistake that the message explains, 130 stopped by the user.
    """
    signal.signal(signal.SIGTERM, _terminate)
    try:
        _exit_with(lambda: app(standalone_mode=True))
    finally:
        gc.freeze()  # the interpreter looks through all that is left before it ends, a quarter of a second after torch


def _terminate(*_: object) -> NoReturn:
    raise KeyboardInterrupt


def _exit_with(act: Callable[[], Any]) -> None:
    try:
        act()
    except Interrupted as stopped:
        print(stopped, file=sys.stderr)
        sys.exit(130)
    except GradraceError as error:
        print(f"gradrace: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
