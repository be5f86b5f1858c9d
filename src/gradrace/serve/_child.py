"""The process of a server beside a race; see ``Beside``."""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError
from gradrace.serve._server import Server
from gradrace.serve._settings import Settings


def main() -> None:
    """Serve what standard input says in its first line, until it ends."""
    given = json.loads(sys.stdin.readline())
    cards: dict[str, Any] = {}
    try:
        server = Server(Settings(**{**given, "store": Path(given["store"])}), cards)
    except SpecError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"address": server.address}), flush=True)

    def listen() -> None:
        for line in sys.stdin:
            cards.update(json.loads(line).get("cards", {}))
        server.end()

    threading.Thread(target=listen, daemon=True).start()
    server.run()


if __name__ == "__main__":
    main()
