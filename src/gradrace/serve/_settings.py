"""Where a server listens and what it shows."""

from __future__ import annotations

import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from pathlib import Path

from gradrace.errors import SpecError

DEFAULT_PORT = 8765
LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True)
class Settings:
    """What a server is started with.

    Attributes:
        store: the database file; it need not be there yet.
        host: the address to listen on.
        port: the same; 0 for any that is free.
        access: the word that every request must show, or empty where none is asked for: on this machine's own address.
        changes: the word that a request must show that stops or resumes a race; only pages of this server have it.
        follow: the process whose race a page shows as soon as there is one.
    """

    store: Path
    host: str = LOOPBACK[0]
    port: int = DEFAULT_PORT
    access: str = ""
    changes: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    follow: int | None = None

    @property
    def names(self) -> frozenset[str]:
        """What the server may be called in a request. A page of elsewhere whose name leads here calls it by that."""
        known = {*LOOPBACK, self.host.lower()}
        if self.access:
            known |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        return frozenset(known)

    def address(self, port: int) -> str:
        """What to open in a browser, with the word if one is asked for."""
        host = socket.gethostname() if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104 - compared, not bound
        shown = f"[{host}]" if ":" in host else host
        asked = "&".join(
            [*([f"token={self.access}"] if self.access else []), *([f"follow={self.follow}"] if self.follow else [])]
        )
        return f"http://{shown}:{port}/{'?' if asked else ''}{asked}"


def settings_for(store: Path, host: str | None, port: int | None, follow: int | None = None) -> Settings:
    """Settings as they were asked for; an address that others can reach is given a word that they must know.

    Raises:
        SpecError: there can be no such port.
    """
    port = DEFAULT_PORT if port is None else port
    if not 0 <= port <= 65535:
        raise SpecError(f"The port is {port}, but must be from 1 to 65535, or 0 for any that is free.")
    host = host or LOOPBACK[0]
    access = "" if host in LOOPBACK else secrets.token_urlsafe(24)
    return Settings(store, host, port, access, follow=follow)


def is_address(name: str) -> bool:
    """Whether a name is an address in numbers, which nobody can have point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def listening(settings: Settings) -> socket.socket:
    """A socket that listens where the settings say.

    Raises:
        SpecError: it cannot.
    """
    try:
        family, *_, where = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        made = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise SpecError(
            f"There is no address '{settings.host}' to listen on: {error.strerror}. Leave --host out for this machine."
        ) from None
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(where)
        made.listen(64)
    except OSError as error:
        made.close()
        raise SpecError(
            f"The live page cannot be served at {settings.host}, port {settings.port}: {error.strerror}. Another "
            "server may be there already; choose another --port, or --port 0 for any that is free."
        ) from None
    return made
