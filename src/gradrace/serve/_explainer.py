"""The landscapes as a page of the server. They come with torch: another process makes them when they are asked for."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from gradrace.report.words import LANGUAGES
from gradrace.serve._pages import language

BASE = "/landscapes/"
MAKE = (
    "import json, sys; from gradrace.landscapes import Landscapes, served; shown = Landscapes(); "
    f"print(json.dumps({{lang: served(shown, lang, {BASE!r}) for lang in {LANGUAGES!r}}}))"
)
MOST_SECONDS = 120


class Explainer:
    """The page and its scripts, once they are made."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[str, dict[str, str]]] = {}
        self._making = asyncio.Lock()

    def routes(self) -> list[BaseRoute]:
        """Where they are."""
        return [
            Route(BASE.rstrip("/"), self.enter),
            Route(BASE, self.page),
            Route(f"{BASE}{{name}}", self.script),
        ]

    async def enter(self, request: Request) -> Response:
        """The address without its slash."""
        return RedirectResponse(BASE, 303)

    async def page(self, request: Request) -> Response:
        """The page."""
        made = await self._all()
        return HTMLResponse(made[language(request)][0])

    async def script(self, request: Request) -> Response:
        """One of its scripts."""
        _, scripts = (await self._all())[LANGUAGES[0]]
        text = scripts.get(BASE + request.path_params["name"])
        if text is None:
            raise HTTPException(404)
        return Response(text, media_type="text/javascript; charset=utf-8")

    async def _all(self) -> dict[str, tuple[str, dict[str, str]]]:
        async with self._making:
            if not self._made:
                self._made = await asyncio.to_thread(_make)
        return self._made


def _make() -> dict[str, tuple[str, dict[str, str]]]:
    try:
        done = subprocess.run([sys.executable, "-c", MAKE], capture_output=True, timeout=MOST_SECONDS, check=True)
        return {lang: (html, scripts) for lang, (html, scripts) in json.loads(done.stdout).items()}
    except (OSError, ValueError, subprocess.SubprocessError):
        raise HTTPException(503) from None
