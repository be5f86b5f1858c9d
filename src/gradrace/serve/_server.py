"""The server itself: it listens, answers until it is told to end, and says good-bye to those who read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gradrace.errors import SpecError
from gradrace.serve._settings import Settings, listening

if TYPE_CHECKING:
    import uvicorn

    from gradrace.serve._app import Live

FAREWELL_SECONDS = 5.0
"""How long pages have to fetch how a race ended, before the server does."""
LARGEST_HEADERS = 16 * 1024
CARDS = "import json; from gradrace.race.reporting import cards; print(json.dumps(cards()))"


def serve(settings: Settings, ready: Callable[[str], None]) -> None:
    """Serve the live page of a store until Ctrl-C.

    Args:
        settings: of the server.
        ready: is told the address to open, once it is served.

    Raises:
        SpecError: something is not installed, or nothing can listen there.
    """
    cards: dict[str, Any] = {}
    server = Server(settings, cards)
    known = threading.Thread(target=_learn_cards, args=(cards,), daemon=True)
    known.start()
    ready(server.address)
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


class Server:
    """A server that listens already, and answers while it runs.

    Args:
        settings: of the server.
        cards: of the optimizers; may be filled later.

    Raises:
        SpecError: something is not installed, or nothing can listen there.
    """

    def __init__(self, settings: Settings, cards: dict[str, Any]) -> None:
        try:
            import uvicorn

            from gradrace.serve._app import Live
            from gradrace.serve._protocol import Impatient
        except ImportError as error:
            raise SpecError(
                f"The live page needs {error.name}, which is not installed: pip install 'gradrace[live]'"
            ) from None
        self.live: Live = Live(settings, cards)
        self._socket = listening(settings)
        self.port: int = self._socket.getsockname()[1]
        self.address = settings.address(self.port)
        config = uvicorn.Config(
            self.live.app(),
            http=Impatient,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            log_level="critical",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEADERS,
            timeout_graceful_shutdown=2,
        )
        self._server = _ending(self.live)(config)

    def run(self) -> None:
        """Answer until ``end`` or a signal."""
        self._server.run([self._socket])

    def end(self) -> None:
        """Have it end; from any thread."""
        self._server.should_exit = True


def _ending(live: Live) -> type[uvicorn.Server]:
    import uvicorn

    class Ending(uvicorn.Server):
        """Ends streams before it waits for connections to end."""

        async def shutdown(self, sockets: list[Any] | None = None) -> None:
            """See ``uvicorn.Server``."""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2 * FAREWELL_SECONDS):
                    await live.farewell(FAREWELL_SECONDS)
            live.hub.close()
            await super().shutdown(sockets)

    return Ending


def _learn_cards(cards: dict[str, Any]) -> None:
    """Ask another process for the optimizers' cards: they come with torch, which this one does without."""
    with contextlib.suppress(OSError, ValueError, subprocess.SubprocessError):
        done = subprocess.run([sys.executable, "-c", CARDS], capture_output=True, timeout=120, check=True)
        cards.update(json.loads(done.stdout))
