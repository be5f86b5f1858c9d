"""A server beside a race: a process of its own that says where it is, and ends with the race's."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from serving import ID, SAID, Served, enter, finish, finished, messages, until

from gradrace.errors import SpecError
from gradrace.serve import Beside
from gradrace.serve._settings import Settings
from gradrace.store import Store, open_store
from test_cli import gradrace, refused

RACE = [
    "race",
    "linear",
    "--optimizers",
    "sgd,adam",
    "--studies",
    "3",
    "--trials",
    "4",
    "--seeds",
    "2",
    "--steps",
    "40",
]

LIVE = ["--live", "--port", "0"]


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as answer:
        return answer.read().decode()


def test_it_serves_from_a_process_of_its_own_and_ends_with_the_context(store: Store, path: Path) -> None:
    finished(store)
    with Beside(Settings(path, port=0)) as beside:
        address = beside.address()
        assert f"?follow={os.getpid()}" in address
        beside.tell_cards({"sgd": {"title": "SGD"}})
        base = address.partition("?")[0]
        assert ID in get(address)
        document = until(lambda: json.loads(get(f"{base}api/races/{ID}/document"))["document"]["cards"])
        assert set(document) == {"sgd"}
        process = beside._process
    assert process.wait(10) == 0
    with pytest.raises(OSError, match="refused"):
        get(base)


def test_pages_hear_how_the_race_ended_before_the_server_does(store: Store, path: Path) -> None:
    enter(store)
    store.beat(ID, "one", SAID)
    with Beside(Settings(path, port=0)) as beside:
        base = beside.address().partition("?")[0]
        with urllib.request.urlopen(f"{base}api/races/{ID}/events", timeout=20) as stream:
            heard = messages(stream)
            assert [next(heard)[0], next(heard)[0]] == ["hello", "state"]
            finish(store)
            assert beside._process.stdin is not None
            beside._process.stdin.close()  # as when the race's process ends, however it does
            rest = []
            for kind, said in heard:
                rest.append((kind, said))
                if kind == "state" and said["status"] == "finished" and said["version"]:
                    document = json.loads(get(f"{base}api/races/{ID}/document"))["document"]
                    assert document["summary"]["standings"][0]["label"] == "a"
    assert rest[-1][0] == "bye"


def test_it_does_not_import_torch(store: Store, path: Path) -> None:
    finished(store)
    script = (
        "import sys; from gradrace.serve._server import Server; from gradrace.serve import Settings; import pathlib\n"
        "from gradrace.serve._followed import Followed; from gradrace.store import open_store\n"
        "server = Server(Settings(pathlib.Path(sys.argv[1]), port=0), {}); store = open_store(sys.argv[1])\n"
        "followed = Followed(store.races()[0], {}); followed.read(store, 1, 'finished', None); followed.make(1, 0)\n"
        "print('torch' in sys.modules, followed.document['summary']['race']['status'])"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "finished"]


def test_a_port_in_use_ends_the_command_before_the_race(served: Served, tmp_path: Path) -> None:
    message = refused(*RACE, "--store", str(tmp_path / "new.db"), "--live", "--port", str(served.port))
    assert message.startswith(f"The live page cannot be served at 127.0.0.1, port {served.port}: ")
    assert not (tmp_path / "new.db").exists()
    assert refused("serve", "--port", str(served.port)) == message


@pytest.mark.parametrize("words", [["--port", "0"], ["--host", "0.0.0.0"], ["--open"]])
def test_how_the_live_page_is_served_is_asked_for_with_it(words: list[str]) -> None:
    assert refused("race", *words) == "--host, --port and --open are about the live page: give --live too."


def test_without_the_extra_a_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert refused("serve", "--port", "0") == (
        "The live page needs uvicorn, which is not installed: pip install 'gradrace[live]'"
    )


def test_a_process_that_dies_at_once_is_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Beside(Settings(path, port=0)) as beside, pytest.raises(SpecError, match="before it could say why"):
        beside.address()


def test_serve_says_where_it_is_and_ends_well(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gradrace", "serve", str(path), "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    said = process.stderr.readline()
    address = re.fullmatch(r"Live page: (http://127\.0\.0\.1:\d+/)\n", said)
    assert address, said
    assert "Races" in get(address[1])
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert f"It shows the races in {path}." in out
    assert not path.exists()


def test_serve_at_another_address_has_a_word(path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gradrace", "serve", str(path), "--port", "0", "--host", "0.0.0.0"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found = re.search(r":(\d+)/\?token=([\w-]{32,})", process.stderr.readline())
        assert found
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with opener.open(f"http://127.0.0.1:{found[1]}/?token={found[2]}", timeout=20) as answer:
            assert "Races" in answer.read().decode()
        with pytest.raises(OSError, match="401"):
            get(f"http://127.0.0.1:{found[1]}/")
    finally:
        process.terminate()
        process.wait(20)
        if process.stderr is not None:
            process.stderr.close()


@pytest.mark.slow
def test_a_race_with_its_live_page(tmp_path: Path) -> None:
    """The address comes before the race, the page follows it, and its result is that of a race without a page."""
    store, whole = tmp_path / "live.db", tmp_path / "whole.db"
    process = subprocess.Popen(
        [sys.executable, "-m", "gradrace", *RACE, *LIVE, "--store", str(store), "--json", "-"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    found = re.search(r"(http://[\d.:]+/)\?follow=(\d+)", process.stderr.readline())
    assert found
    assert int(found[2]) == process.pid
    assert "Races" in get(found[0])
    out, _ = process.communicate(timeout=200)
    assert process.returncode == 0
    alone = gradrace(*RACE, "--store", str(whole), "--json", "-", "--quiet")
    assert json.loads(out)["standings"][0]["test"] == json.loads(alone.stdout)["standings"][0]["test"]
    with open_store(store) as opened:
        (race,) = opened.races()
        assert opened.pulses()[race.id].said["process"] == process.pid


@pytest.mark.slow
def test_a_killed_race_takes_its_server_along(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "gradrace", *RACE[:-1], "4000", *LIVE, "--store", str(tmp_path / "r.db")],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    found = re.search(r"http://[\d.:]+/", process.stderr.readline())
    assert found
    assert get(found[0])
    process.kill()
    process.wait()
    process.stderr.close()

    def gone() -> bool:
        try:
            get(found[0])
        except OSError:
            return True
        time.sleep(0.2)
        return False

    until(gone)
