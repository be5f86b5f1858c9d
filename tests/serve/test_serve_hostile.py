"""Requests that are too large, too many, too slow or none at all: they slow nothing, and stay alone with it."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from serving import ID, SAID, Served, enter, raw, until, write

from gradrace.serve import _app, _guard, _protocol
from gradrace.serve._hub import Channel
from gradrace.store import Store
from report.stored_race import tuned


def test_what_is_too_large_is_refused(store: Store, served: Served) -> None:
    enter(store)
    assert served.get("/?" + "x" * 3000).status == 414
    assert served.send("POST", "/", Body="x" * 2000, Origin=served.origin).status == 413
    chunked = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n"
    )
    assert b" 413 " in raw(served.port, chunked)
    assert b" 400 " in raw(served.port, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000)
    assert served.get("/").status == 200


@pytest.mark.parametrize("length", ["-1", "1e3", "²", "99999999999999999999"])
def test_lengths_that_are_none_are_refused(length: str, served: Served) -> None:
    text = f"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    answer = raw(served.port, text.encode("utf-8"))
    assert b" 400 " in answer or b" 413 " in answer
    assert served.get("/").status == 200


@pytest.mark.parametrize("text", [b"\x16\x03\x01\x02\x00", b"GET\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\n", b"\x00" * 100])
def test_what_is_no_request_ends_its_connection_alone(text: bytes, served: Served) -> None:
    assert b"200 OK" not in raw(served.port, text)
    assert served.get("/").status == 200


def test_streams_are_bounded(store: Store, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_app, "MOST_STREAMS", 3)
    enter(store)
    with ExitStack() as stack:
        for _ in range(3):
            next(stack.enter_context(served.events()))
        answer = served.get("/api/events")
        assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
        assert served.get("/").status == 200
    until(lambda: served.live.streams == 0)
    with served.events() as events:
        assert next(events)[0] == "hello"


def test_connections_are_bounded(store: Store, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_protocol, "MOST_CONNECTIONS", 5)
    monkeypatch.setattr(_protocol, "ASK_SECONDS", 1.0)
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", served.port))) for _ in range(40)]
        time.sleep(0.3)
        assert len(served.server._server.server_state.connections) <= 5
        # Those who ask nothing have their connection ended, and others are answered again.
        until(lambda: _answers(served))
        assert idle[0].recv(10) == b""


def test_requests_are_bounded(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    guard: Any = served.server._server.config.app
    guard._room = 3.0
    monkeypatch.setattr(_guard, "PER_SECOND", 0.0)
    assert [served.get("/static/page.css").status for _ in range(4)] == [200, 200, 200, 429]


def _answers(served: Served) -> bool:
    try:
        return served.get("/").status == 200
    except OSError:
        return False


# Slow ones


def test_a_request_that_never_comes_whole_is_not_waited_for(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_protocol, "ASK_SECONDS", 0.5)
    began = time.monotonic()
    for start in (b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\n"):
        with suppress(ConnectionResetError):
            assert raw(served.port, start) == b""
    again = b"GET /static/nothing HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert raw(served.port, again + b"GET / HTTP/1.1\r\nHo").count(b"HTTP/1.1 404") == 1
    assert time.monotonic() - began < 8


def test_a_reader_that_takes_nothing_keeps_no_other_waiting(
    store: Store, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks for more than any buffer holds, and reads none of it; in the end its connection is ended."""
    monkeypatch.setattr(_protocol, "READ_SECONDS", 1.0)
    enter(store)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect(("127.0.0.1", served.port))
    with slow:
        slow.sendall(b"GET /static/plotly.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with served.events() as events:
            next(events)
            for number in range(3):
                store.beat(ID, "one", {**SAID, "trials_done": number})
                began = time.monotonic()
                next(said for _, said in events if said["pulse"] and said["pulse"]["trials_done"] == number)
                assert time.monotonic() - began < 2
        until(lambda: len(served.server._server.server_state.connections) == 0)


def test_a_slow_reader_of_a_stream_gets_the_newest_state_and_no_backlog() -> None:
    async def read() -> list[bytes]:
        channel, seen, told = Channel(), 0, []
        for number in range(100):
            channel.publish(b"%d" % number)
            if number % 40 == 39:  # only now and then it has taken what it was sent
                assert await channel.after(seen, 1)
                seen = channel.number
                told.append(channel.message)
        assert not await channel.after(channel.number, 0.01)
        channel.end()
        assert await channel.after(channel.number, 1)
        return told

    assert asyncio.run(read()) == [b"39", b"79"]


def test_changes_that_come_fast_are_told_together(store: Store, served: Served) -> None:
    enter(store)
    with served.events() as events:
        next(events)
        next(events)
        for number in range(30):
            store.beat(ID, "one", {**SAID, "trials_done": number})
            time.sleep(0.01)
        seen = []
        for _, said in events:
            seen.append((said["pulse"] or SAID)["trials_done"])
            if seen[-1] == 29:
                break
    assert len(seen) < 10


def test_a_reader_that_leaves_in_the_middle_leaves_nothing_behind(store: Store, served: Served) -> None:
    enter(store)
    for _ in range(5):
        with served.events() as events:
            next(events)
    until(lambda: served.live.streams == 0)
    assert served.live.hub.channels == {}


def test_documents_take_their_share_of_a_running_race_and_no_more(store: Store, served: Served) -> None:
    """Asked for again and again, and written to all the while, a document is made about once a second."""
    enter(store)
    store.beat(ID, "one", SAID)
    first = served.get(f"/api/races/{ID}/document").json["version"]
    began = time.monotonic()
    for number, one in enumerate(tuned()):
        write(store, [one], f"block {number}")
        served.get(f"/api/races/{ID}/document")
    made = served.get(f"/api/races/{ID}/document").json["version"] - first
    assert made <= 1 + (time.monotonic() - began) / 0.8


def test_state_that_is_no_json_ends_no_stream(store: Store, served: Served, path: Path) -> None:
    enter(store)
    store.beat(ID, "one", SAID)
    with served.events() as events:
        next(events)
        next(events)
        with sqlite3.connect(path) as other:
            other.execute("UPDATE pulses SET said = '{\"rate\": NaN}', number = number + 1")
        assert "cannot be shown" in next(said for _, said in events if said.get("problem"))["problem"]
        store.beat(ID, "one", SAID)
        assert next(said for _, said in events if said.get("pulse"))["pulse"] == json.loads(json.dumps(SAID))
