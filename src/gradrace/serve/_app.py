"""The pages and what they ask for, as an ASGI application."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from gradrace.errors import StoreError
from gradrace.serve._assets import assets
from gradrace.serve._compared import compared
from gradrace.serve._explainer import Explainer
from gradrace.serve._guard import Guard
from gradrace.serve._hub import LIST, Channel, Hub
from gradrace.serve._pages import Pages
from gradrace.serve._resumed import ID, Resumed
from gradrace.serve._settings import Settings
from gradrace.serve._source import Source

MOST_STREAMS = 64
STILL_HERE_SECONDS = 15.0
"""After so long without news a stream says that it is still there."""

Answer = Callable[[Request], Awaitable[Response]]


class Live:
    """A server's state, and its answers.

    Args:
        settings: of the server.
        cards: of the optimizers; may be filled later.
    """

    def __init__(self, settings: Settings, cards: dict[str, Any]) -> None:
        self.settings = settings
        self.resumed = Resumed(settings.store)
        self.hub = Hub(Source(settings.store), cards, self.resumed.state)
        self.pages, self.explainer = Pages(settings), Explainer()
        self.session = secrets.token_hex(8)
        """Stands for this server: a page that was made by another one has an old word for changes."""
        self.streams = self.fetched = 0

    def app(self, more: Sequence[BaseRoute] = ()) -> Guard:
        """The application, with further routes if there are any."""
        routes: list[BaseRoute] = [
            Route("/", self.front),
            Route("/race/{id}", self.race),
            Route("/compare", self.compare),
            Route("/static/{name}", self.static),
            Route("/api/races", self.races),
            Route("/api/events", partial(self.events, LIST)),
            Route("/api/races/{id}", self.state),
            Route("/api/races/{id}/document", self.document),
            Route("/api/races/{id}/events", self.race_events),
            Route("/api/races/{id}/stop", self.stop, methods=["POST"]),
            Route("/api/races/{id}/resume", self.resume, methods=["POST"]),
            Route("/api/compare", self.comparison),
            *self.explainer.routes(),
            *more,
        ]
        errors: dict[Any, Any] = {404: self.missing, 405: self.missing, StoreError: self.problem, 500: self.broken}
        return Guard(Starlette(routes=routes, exception_handlers=errors), self.settings)

    async def front(self, request: Request) -> Response:
        """The list of races."""
        return HTMLResponse(self.pages.front(request, await self.hub.races(), self.session))

    async def race(self, request: Request) -> Response:
        """The page of a race; asked for by the beginning of its id, it has its whole id."""
        asked = self._id(request)
        id = await self.hub.resolve(asked)
        if id != asked:
            return RedirectResponse(f"/race/{id}", 303)
        found = await self.hub.followed(id)
        if "problem" in found.document:
            raise StoreError(found.document["problem"])
        return HTMLResponse(self.pages.race(request, found.document, self.session))

    async def compare(self, request: Request) -> Response:
        """Two races side by side."""
        a, b = self._two(request)
        return HTMLResponse(self.pages.compare(request, await self.hub.resolve(a), await self.hub.resolve(b)))

    async def static(self, request: Request) -> Response:
        """A file that pages need, out of memory."""
        asset = assets().get(request.path_params["name"])
        if asset is None:
            return self.pages.message(request, 404, "live.no_such_page")
        headers = {"Cache-Control": "private, max-age=86400", "Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(asset.packed, media_type=asset.kind, headers={**headers, "Content-Encoding": "gzip"})
        return Response(asset.text, media_type=asset.kind, headers=headers)

    async def races(self, request: Request) -> Response:
        """The list of races, as JSON."""
        return JSONResponse(await self.hub.races())

    async def state(self, request: Request) -> Response:
        """What changes every second of a race."""
        found = await self.hub.now(await self.hub.resolve(self._id(request)))
        return JSONResponse(self.hub.told(found))

    async def document(self, request: Request) -> Response:
        """What a race's page shows, as JSON; while it runs, as new as making it allows."""
        found = await self.hub.followed(await self.hub.resolve(self._id(request)))
        self.fetched += 1
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(found.body, media_type="application/json", headers={"Content-Encoding": "gzip"})
        return JSONResponse({"version": found.version, "document": found.document})

    async def comparison(self, request: Request) -> Response:
        """Two races side by side, as JSON."""
        ids = [await self.hub.resolve(asked) for asked in self._two(request)]
        first, second = [await self.hub.followed(id) for id in ids]
        return JSONResponse(compared(first, second))

    async def stop(self, request: Request) -> Response:
        """Ask a race to stop, in whatever process it runs."""
        found = await self.hub.now(await self.hub.resolve(self._id(request)))
        if not found.alive:
            return _refused(f"Race {found.record.id} does not run, so it cannot be stopped.")
        id = found.record.id
        await self.hub.act(lambda: self.hub.source.store().ask_to_stop(id))
        return JSONResponse({"asked": "stop"}, 202)

    async def resume(self, request: Request) -> Response:
        """Have a race go on in a process of its own."""
        found = await self.hub.now(await self.hub.resolve(self._id(request)))
        id = found.record.id
        if found.alive or found.record.status == "finished":
            return _refused(f"Race {id} {'runs' if found.alive else 'has ended'}, so it cannot go on.")
        if found.obstacle is not None:
            return _refused(found.obstacle)
        self.resumed.start(id)
        return JSONResponse({"asked": "resume", "log": str(self.resumed.log(id))}, 202)

    async def race_events(self, request: Request) -> Response:
        """What changes of a race, as it changes."""
        return await self.events(await self.hub.resolve(self._id(request)), request)

    async def events(self, key: str, request: Request) -> Response:
        """A stream of a channel's newest messages."""
        if self.streams >= MOST_STREAMS:
            return JSONResponse({"problem": f"{MOST_STREAMS} pages are open already."}, 503, {"Retry-After": "5"})
        return Stream(self, key)

    async def missing(self, request: Request, error: Exception) -> Response:
        """There is no such page."""
        if request.url.path.startswith("/api/"):
            return JSONResponse({"problem": "There is no such page."}, 404)
        return self.pages.message(request, 404, "live.no_such_page")

    async def problem(self, request: Request, error: Exception) -> Response:
        """The store is not there, holds no such race, or cannot be read."""
        if request.url.path.startswith("/api/"):
            return JSONResponse({"problem": str(error)}, 404)
        return self.pages.message(request, 404, "live.problem", str(error))

    async def broken(self, request: Request, error: Exception) -> Response:
        """A mistake of ours: it is named, and ends nothing."""
        return JSONResponse({"problem": f"The server failed: {type(error).__name__}."}, 500)

    async def farewell(self, seconds: float) -> None:
        """Tell all pages how it is in the end, and give them time to fetch it; then end their streams."""
        before = self.fetched
        await self.hub.look_once()
        waiting = self.streams
        for _ in range(round(seconds / 0.05)):
            if self.fetched - before >= waiting or self.streams == 0:
                break
            await asyncio.sleep(0.05)
        self.hub.close()

    def _id(self, request: Request) -> str:
        return self._checked(request.path_params["id"])

    def _two(self, request: Request) -> tuple[str, str]:
        return self._checked(request.query_params.get("a", "")), self._checked(request.query_params.get("b", ""))

    def _checked(self, id: str) -> str:
        if not ID.fullmatch(id):
            raise StoreError(f"'{id[:80]}' is no id of a race: it must be 4 to 64 digits from 0 to f.")
        return id


class Stream(Response):
    """Server-sent events: always the newest message, however slowly a reader takes them.

    Args:
        live: the server.
        key: of the channel.
    """

    def __init__(self, live: Live, key: str) -> None:
        super().__init__(media_type="text/event-stream")
        self.live, self.key = live, key
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the reader goes or the server ends."""
        self.live.streams += 1
        try:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            async with self.live.hub.reading(self.key) as channel:
                sending = asyncio.ensure_future(self._send(channel, send))
                leaving = asyncio.ensure_future(_left(receive))
                try:
                    await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    sending.cancel()
                    leaving.cancel()
                    await asyncio.gather(sending, leaving, return_exceptions=True)
        finally:
            self.live.streams -= 1

    async def _send(self, channel: Channel, send: Send) -> None:
        async def say(text: bytes, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": text, "more_body": more})

        about = {"session": self.live.session, "changes": self.live.settings.changes}
        await say(b"retry: 1000\nevent: hello\ndata: " + json.dumps(about).encode() + b"\n\n")
        seen = 0
        while not channel.ended:
            if not await channel.after(seen, STILL_HERE_SECONDS):
                await say(b": still here\n\n")
            elif channel.number > seen:
                seen = channel.number
                await say(b"id: %d\nevent: state\ndata: %b\n\n" % (seen, channel.message))
        await say(b"event: bye\ndata: {}\n\n", more=False)


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _refused(sentence: str) -> Response:
    return JSONResponse({"problem": sentence}, 409)
