"""A server beside a race: a process of its own, which ends with the command that runs the race."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from dataclasses import asdict
from typing import Any

from gradrace.errors import SpecError
from gradrace.serve._settings import Settings

END_SECONDS = 15.0


class Beside:
    """A context in which a server runs; it starts at once, while the race's process imports what it needs.

    Args:
        settings: of the server.
    """

    def __init__(self, settings: Settings) -> None:
        given = {**asdict(settings), "store": str(settings.store), "follow": os.getpid()}
        # Ctrl-C is for the race: the server is in a session of its own, and ends when its input does.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "gradrace.serve._child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._say(given)

    def __enter__(self) -> Beside:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def address(self) -> str:
        """What to open in a browser; waits until it is served.

        Raises:
            SpecError: it cannot be served.
        """
        assert self._process.stdout is not None
        answer = self._process.stdout.readline()
        if not answer:
            raise SpecError("The live page cannot be served: its process ended before it could say why.")
        said = json.loads(answer)
        if "error" in said:
            raise SpecError(said["error"])
        return said["address"]

    def tell_cards(self, cards: dict[str, Any]) -> None:
        """Tell what the optimizers' cards say; the server does without torch, which they come with."""
        self._say({"cards": cards})

    def end(self) -> None:
        """Let pages fetch how the race ended, and end the server."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _say(self, what: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it has ended; ``address`` tells why
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
