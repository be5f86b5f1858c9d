"""Who may ask the server what, and that nobody who asks can slow it, or reach what it does not show."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import ID, SAID, Served, enter, finished, raw, serving

from gradrace.errors import SpecError, StoreError
from gradrace.serve import _guard
from gradrace.serve._resumed import Resumed
from gradrace.serve._settings import Settings, listening, settings_for
from gradrace.store import Store

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
PAGES = ("/", f"/race/{ID}", "/compare", "/static/page.css", "/api/races", f"/api/races/{ID}/document", "/nothing")


# Where it listens


def test_it_is_served_to_this_machine_alone_unless_asked() -> None:
    assert settings_for(Path("r.db"), None, None).host == "127.0.0.1"
    assert settings_for(Path("r.db"), None, None).access == ""
    for host in ("0.0.0.0", "192.168.0.7", "::"):
        one, two = (settings_for(Path("r.db"), host, None) for _ in range(2))
        assert len(one.access) >= 32
        assert one.access != two.access
        assert f"token={one.access}" in one.address(1)


def test_a_port_in_use_is_told(path: Path) -> None:
    with serving(path) as served:
        message = rf"cannot be served at 127\.0\.0\.1, port {served.port}: .* choose another --port, or --port 0"
        with pytest.raises(SpecError, match=message):
            listening(Settings(path, port=served.port))


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(SpecError, match=f"The port is {port}, but must be from 1 to 65535"):
        settings_for(Path("r.db"), None, port)


def test_an_address_that_there_is_not_is_refused(path: Path) -> None:
    with pytest.raises(SpecError, match=r"no address 'nowhere\.invalid' to listen on"):
        listening(Settings(path, host="nowhere.invalid"))


# Host: a name of elsewhere that leads here


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:{port}", "127.0.0.1.evil.example", "[::1", "", "10.0.0.1"]
)
def test_another_host_is_not_answered(host: str, store: Store, served: Served) -> None:
    finished(store)
    for path in PAGES:
        answer = served.get(path, Host=host.format(port=served.port))
        assert answer.status == 421
        assert ID not in answer.text
    assert served.post(f"/api/races/{ID}/stop", Host=host.format(port=served.port)).status == 421


def test_no_host_and_two_hosts_are_not_answered(served: Served) -> None:
    assert b" 400 " in raw(served.port, b"GET / HTTP/1.1\r\n\r\n")
    assert b" 421 " in raw(served.port, b"GET / HTTP/1.0\r\n\r\n")
    two = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
    assert b" 200 " not in raw(served.port, two)


@pytest.mark.parametrize("host", ["localhost:{port}", "127.0.0.1:{port}", "[::1]:{port}", "LOCALHOST", "localhost:9"])
def test_this_machine_is_answered_by_each_of_its_names_also_through_a_tunnel(host: str, served: Served) -> None:
    assert served.get("/", Host=host.format(port=served.port)).status == 200


# Origin, and the word for changes


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1:{port}", "http://127.0.0.1:1", ""]
)
def test_another_origin_is_not_answered(origin: str, store: Store, served: Served) -> None:
    finished(store)
    there = origin.format(port=served.port)
    for path in PAGES:
        assert served.get(path, Origin=there).status == 403
    assert served.post(f"/api/races/{ID}/stop", Origin=there).status == 403


def test_no_answer_may_be_read_by_another_origin(store: Store, served: Served) -> None:
    finished(store)
    for path in PAGES:
        headers = served.get(path).headers
        assert not [name for name in headers if name.lower().startswith("access-control-")]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert served.send("OPTIONS", "/api/races").status == 405


@pytest.mark.parametrize("action", ["stop", "resume"])
def test_a_change_needs_the_word_and_the_origin_of_this_servers_page(action: str, store: Store, served: Served) -> None:
    enter(store)
    store.beat(ID, "one", SAID)
    address = f"/api/races/{ID}/{action}"
    assert served.send("POST", address).status == 403
    assert served.send("POST", address, X_Gradrace_Token=served.settings.changes).status == 403
    for word in ("", "wrong", served.settings.changes[:-1], served.settings.changes + "é"):
        assert served.send("POST", address, Origin=served.origin, X_Gradrace_Token=word).status == 403
    site = {"Sec_Fetch_Site": "cross-site", "X_Gradrace_Token": served.settings.changes}
    assert served.send("POST", address, **site).status == 403
    assert served.get(address).status in (404, 405)
    assert store.beat(ID, "one", SAID) is False
    assert served.post(address).status == (202 if action == "stop" else 409)


def test_the_word_of_a_server_that_has_ended_is_refused(store: Store, path: Path) -> None:
    enter(store)
    with serving(path) as before:
        word = before.settings.changes
    with serving(path) as served:
        answer = served.post(f"/api/races/{ID}/stop", X_Gradrace_Token=word)
        assert (answer.status, answer.text) == (403, "The page is of a server that has ended. Reload it.\n")


# The word for access


@pytest.fixture
def guarded(store: Store, path: Path) -> Iterator[Served]:
    finished(store)
    with serving(path, access="open-sesame") as served:
        yield served


def test_without_the_word_nothing_is_answered(guarded: Served) -> None:
    for path in PAGES:
        for wrong in ({}, {"Cookie": "gradrace=guess"}, {"Cookie": "other=open-sesame"}, {"Cookie": '=;gradrace="a'}):
            answer = guarded.get(path, **wrong)
            assert answer.status == 401, (path, wrong)
            assert ID not in answer.text
    assert guarded.get("/?token=guess").status == 403
    assert guarded.post(f"/api/races/{ID}/stop").status == 401


def test_the_word_in_the_address_becomes_a_cookie_and_leaves_the_address(guarded: Served) -> None:
    answer = guarded.get(f"/race/{ID}?lang=ko&token=open-sesame")
    assert (answer.status, answer.headers["Location"]) == (303, f"/race/{ID}?lang=ko")
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert guarded.get("/", Cookie=cookie.split(";")[0]).status == 200


@pytest.mark.parametrize("target", ["//evil.example/", "/\\evil.example", "///evil.example"])
def test_the_redirection_leads_nowhere_else(target: str, guarded: Served) -> None:
    location = guarded.get(f"{target}?token=open-sesame").headers["Location"]
    assert re.match(r"/[^/\\]", location), location


def test_numbers_are_names_of_this_server_only_where_a_word_is_asked_for(guarded: Served, served: Served) -> None:
    assert guarded.get("/?token=open-sesame", Host="192.168.0.7").status == 303
    assert served.get("/", Host="192.168.0.7").status == 421


# What a page may do


def test_every_page_has_a_strict_policy(store: Store, served: Served) -> None:
    finished(store)
    for path in (*PAGES, f"/compare?a={ID}&b={ID}", "/race/99999999"):
        headers = served.get(path).headers
        assert headers["Content-Security-Policy"] == _guard.POLICY
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
    rules = {name: value for name, _, value in (rule.strip().partition(" ") for rule in _guard.POLICY.split(";"))}
    assert (rules["default-src"], rules["script-src"], rules["connect-src"]) == ("'none'", "'self'", "'self'")
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"


def test_no_page_has_a_script_in_it(store: Store, served: Served) -> None:
    finished(store)
    for path in ("/", f"/race/{ID}", f"/compare?a={ID}&b={ID}", "/nothing"):
        text = served.get(path).text
        inline = [tag for tag in re.findall("<script[^>]*>", text) if "src=" not in tag]
        assert all('type="application/json"' in tag for tag in inline)
        assert not re.search(r"<[^>]* on[a-z]+=", text)
        assert all(address.startswith("/static/") for address in re.findall(r'<script src="([^"]*)"', text))


def test_labels_and_workloads_that_are_html_stay_text(store: Store, served: Served) -> None:
    finished(store, label=HOSTILE, workload=HOSTILE)
    for path in ("/", f"/race/{ID}", f"/compare?a={ID}&b={ID}", f"/race/{HOSTILE}"):
        text = served.get(path.replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")).text
        assert "<script>alert" not in text
        assert "<img" not in text
    # As JSON it is text for a script, and no browser takes JSON for a page.
    assert served.get("/api/races").headers["Content-Type"] == "application/json"


# Paths


@pytest.mark.parametrize(
    "target",
    [
        "/static/../races.db",
        "/static/..%2f..%2fetc%2fpasswd",
        "/static/%2e%2e/%2e%2e/etc/passwd",
        "/../../etc/passwd",
        "/static/races.db",
        "/static/race.html.j2",
        "/race/..%2f..%2fraces.db",
        "/static/....//races.db",
        "/%00",
        "/static/page.css/../../races.db",
        "/api/races/..%2f/document",
        "//etc/passwd",
        "/static/%5c..%5craces.db",
    ],
)
def test_no_path_reaches_the_file_system(target: str, store: Store, served: Served) -> None:
    finished(store)
    answer = served.get(target)
    assert answer.status == 404
    assert "SQLite format" not in answer.text
    assert "root:" not in answer.text


def test_an_id_that_is_a_path_names_no_file(path: Path) -> None:
    for id in ("../../evil", "abc/def", "0123\n", "A" * 8, "", "0" * 65):
        with pytest.raises(StoreError, match="is no id of a race"):
            Resumed(path).start(id)
    assert list(path.parent.iterdir()) == []
