"""What every request must pass before anything looks at it, and what every answer says to the browser."""

from __future__ import annotations

import hmac
import time
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlencode, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gradrace.serve._settings import Settings, is_address

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Styles may be inline, because plotly writes its own; scripts may not."""
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
LONGEST_TARGET = 2000
"""Characters of a request's path and query."""
LARGEST_BODY = 1024
"""Bytes; no request of the page has a body."""
COOKIE = "gradrace"
CHANGES = "x-gradrace-token"
"""The header that carries the word for changes. A form or a link of another page cannot send it."""
PER_SECOND, AT_ONCE = 60.0, 200.0
"""Requests that are answered: in the long run, and in a burst."""


class Guard:
    """Answers what must not pass, and passes on the rest.

    Args:
        app: what is guarded.
        settings: of the server.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app, self.settings = app, settings
        self._room, self._when = AT_ONCE, time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if scope["type"] != "http":
            return  # there are no sockets here
        refused = self._refused(scope)
        await (self.app if refused is None else refused)(scope, receive, send_with_headers)

    def _refused(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        if not self._has_room():
            return _say(429, "Too many requests at once. The page tries again by itself.")
        if len(scope["raw_path"]) + len(scope["query_string"]) > LONGEST_TARGET:
            return _say(414, "The address is too long.")
        if not _host_is_known(headers.getlist("host"), self.settings):
            return _say(421, "This server is not known by that name. Open the address that it printed.")
        origins = headers.getlist("origin")
        if any(origin != f"{scope['scheme']}://{headers['host']}" for origin in origins):
            return _say(403, "Another site may not ask this server anything.")
        if not _is_small(headers):
            return _say(413, "A request here has no body.")
        if self.settings.access and (answer := self._without_access(scope, headers)) is not None:
            return answer
        if scope["method"] in ("GET", "HEAD"):
            return None
        if scope["method"] != "POST":
            return _say(405, "Only GET and POST are answered.")
        if not origins and headers.get("sec-fetch-site") != "same-origin":
            return _say(403, "A change must be asked for by a page of this server.")
        if not _equal(headers.get(CHANGES, ""), self.settings.changes):
            return _say(403, "The page is of a server that has ended. Reload it.")
        return None

    def _without_access(self, scope: Scope, headers: Headers) -> Response | None:
        """What to answer one who does not show the word; who brings it in the address gets it as a cookie."""
        asked = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if given := asked.pop("token", []):
            if not _equal(given[0], self.settings.access):
                return _say(403, "This is not the word that the server printed.")
            query = urlencode(asked, doseq=True)
            # An address of one slash only: with two, it would lead to another host.
            there = "/" + scope["path"].lstrip("/\\")
            answer = RedirectResponse(f"{there}?{query}" if query else there, 303)
            answer.set_cookie(COOKIE, self.settings.access, httponly=True, samesite="strict", path="/")
            return answer
        if any(_equal(known, self.settings.access) for known in _cookies(headers)):
            return None
        return _say(401, "This server asks for a word: open the address that it printed, which has it.")

    def _has_room(self) -> bool:
        now = time.monotonic()
        self._room = min(AT_ONCE, self._room + PER_SECOND * (now - self._when))
        self._when = now
        if self._room < 1:
            return False
        self._room -= 1
        return True


def _host_is_known(hosts: list[str], settings: Settings) -> bool:
    """Whether a request is for this server: a page of elsewhere can have its own name lead here, and no other."""
    if len(hosts) != 1:
        return False
    try:
        name = urlsplit(f"//{hosts[0]}").hostname or ""
        _ = urlsplit(f"//{hosts[0]}").port
    except ValueError:
        return False
    return name in settings.names or (bool(settings.access) and is_address(name))


def _is_small(headers: Headers) -> bool:
    if "transfer-encoding" in headers:
        return False
    length = headers.get("content-length", "0")
    return length.isascii() and length.isdigit() and int(length) <= LARGEST_BODY


def _cookies(headers: Headers) -> Iterable[str]:
    for line in headers.getlist("cookie"):
        try:
            found = SimpleCookie(line).get(COOKIE)
        except CookieError:
            continue
        if found is not None:
            yield found.value


def _equal(given: str, word: str) -> bool:
    return hmac.compare_digest(given.encode(), word.encode())


def _say(status: int, sentence: str) -> Response:
    return PlainTextResponse(sentence + "\n", status)
