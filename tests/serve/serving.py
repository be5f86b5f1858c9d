"""A server in this process on a port of its own, made-up stores for it to show, and plain requests."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gradrace._version import __version__
from gradrace.outcomes import Outcome
from gradrace.serve._server import Server
from gradrace.serve._settings import Settings
from gradrace.store import Store
from report.stored_race import A, B, confirmed, notes, record, tuned

ID = "0123456789ab"
OTHER = "ba9876543210"
SAID: dict[str, Any] = {
    "process": 4711, "host": "here", "lanes": 2, "stage": "tuning", "trials": 24, "trials_done": 9,
    "trial_steps": 480, "trial_steps_done": 180, "afterwards": 240, "rate": 90.0, "seconds_left": 6.0,
    "seconds": 2.0, "leader": "a", "leader_validation": 0.9,
}  # fmt: skip


def enter(
    store: Store, id: str = ID, label: str = "a", workload: str = "w", reference: str = "built-in", **changes: Any
) -> None:
    """A race of two contenders, just entered; one may have another label."""
    made = record(**changes)
    known = made.plan["contenders"]
    known[label] = known.pop("a")
    for one in known.values():
        one["source"] = None
    made.plan["workload"] |= {"name": workload, "reference": {"kind": reference, "name": workload}}
    made.spec["contenders"][0]["label"] = label
    store.create_race(id, made.spec, made.plan, made.machine, __version__)


def write(store: Store, outcomes: list[Outcome], block: str, id: str = ID) -> None:
    store.write_block(id, block, outcomes)


def finish(store: Store, id: str = ID, label: str = "a") -> None:
    """Confirmation, notes and the end."""
    write(store, _renamed(confirmed(A, B), label), "confirmation", id)
    for key, note in notes().items():
        store.write_note(id, key, json.loads(json.dumps(note).replace('"a"', json.dumps(label))))
    store.set_status(id, "finished")


def finished(store: Store, id: str = ID, label: str = "a", **changes: Any) -> None:
    """A race that has ended."""
    enter(store, id, label, **changes)
    write(store, _renamed(tuned(), label), "tuning", id)
    finish(store, id, label)


def _renamed(outcomes: list[Outcome], label: str) -> list[Outcome]:
    """The same outcomes, of a contender that is called otherwise."""
    return [one if one.contender == "b" else replace(one, contender=label) for one in outcomes]


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Served:
    """A server that runs, and requests to it."""

    def __init__(self, server: Server, path: Path) -> None:
        self.server, self.path, self.port = server, path, server.port
        self.live, self.settings = server.live, server.live.settings

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **headers: str) -> Answer:
        """What is answered to a GET; ``_`` in a header's name stands for ``-``."""
        return self.send("GET", path, **headers)

    def send(self, method: str, path: str, **headers: str) -> Answer:
        """What is answered to a request without a body, or with the one that ``Body`` stands for."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=90)
        try:
            body = headers.pop("Body", None)
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def post(self, path: str, **headers: str) -> Answer:
        """A change, asked for as a page of the server does, but for the headers."""
        known = {"Origin": self.origin, "X_Gradrace_Token": self.settings.changes}
        return self.send("POST", path, **{**known, **headers})

    def state(self, id: str = ID) -> dict[str, Any]:
        return self.get(f"/api/races/{id}").json

    def document(self, id: str = ID) -> dict[str, Any]:
        return self.get(f"/api/races/{id}/document").json["document"]

    @contextmanager
    def events(self, path: str = f"/api/races/{ID}/events") -> Iterator[Iterator[tuple[str, Any]]]:
        """The kind and the content of each message of a stream."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            yield messages(answer)
        finally:
            connection.close()


def messages(answer: http.client.HTTPResponse) -> Iterator[tuple[str, Any]]:
    kind = ""
    while line := answer.readline().decode():
        if line.startswith("event: "):
            kind = line[7:].strip()
        elif line.startswith("data: "):
            yield kind, json.loads(line[6:])


@contextmanager
def serving(path: Path, **options: Any) -> Iterator[Served]:
    """A server of a store for as long as the context lasts."""
    cards: dict[str, Any] = options.pop("cards", {})
    server = Server(Settings(path, **{"port": 0, **options}), cards)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield Served(server, path)
    finally:
        server.end()
        thread.join(20)
        assert not thread.is_alive()


def until(true: Callable[[], Any], seconds: float = 20) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.02)
    return found


def raw(port: int, text: bytes, patience: float = 10) -> bytes:
    """What comes back for these bytes until the connection ends."""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection:
        connection.sendall(text)
        found = b""
        while part := connection.recv(1 << 16):
            found += part
        return found
