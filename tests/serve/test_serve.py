"""What the server answers: the store's races, as they are and as they change."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from serving import ID, OTHER, SAID, Served, enter, finish, finished, serving, until, write

from gradrace.race.reporting import page_of
from gradrace.report.page import page_document
from gradrace.serve import _explainer, _followed
from gradrace.store import Store, open_store
from report.stored_race import confirmed, outcome, tuned


def listed(served: Served) -> list[dict[str, Any]]:
    return served.get("/api/races").json["races"]


def test_all_races_are_listed_the_newest_first(store: Store, served: Served) -> None:
    finished(store)
    enter(store, OTHER, label="new")
    store.beat(OTHER, "one", SAID)
    (new, old) = listed(served)
    assert (new["id"], new["status"], new["contenders"], new["workload"]) == (OTHER, "running", ["new", "b"], "w")
    assert (new["pulse"]["trials_done"], new["pulse"]["leader"]) == (9, "a")
    assert (old["id"], old["status"], old["pulse"]) == (ID, "finished", None)
    front = served.get("/")
    assert (front.status, ID in front.text, OTHER in front.text) == (200, True, True)


def test_verdicts_of_the_list_come_when_somebody_looks(store: Store, served: Served) -> None:
    finished(store)
    with served.events("/api/events") as events:
        assert next(events)[0] == "hello"
        said = next(races for _, races in events if races["races"][0]["verdict"])
    assert said["races"][0]["verdict"]["en"].startswith("Use a: it scored best on w")
    assert set(said["races"][0]["verdict"]) == {"en", "ko"}


def test_the_document_is_that_of_the_page_that_the_race_writes(store: Store, served: Served) -> None:
    finished(store)
    whole = page_document(store.race(ID), store.outcomes(ID), store.notes(ID), {})
    assert served.document() == json.loads(json.dumps(whole))
    assert served.get(f"/api/races/{ID}/document", Accept_Encoding="gzip").headers["Content-Encoding"] == "gzip"


def test_cards_that_come_later_are_in_the_next_document(store: Store, path: Path) -> None:
    finished(store)
    cards: dict[str, Any] = {}
    with serving(path, cards=cards) as served:
        assert served.document()["cards"] == {}
        cards.update({"sgd": {"title": "SGD", "idea": "Down."}})
        assert set(served.document()["cards"]) == {"sgd"}


def test_a_race_is_opened_by_the_beginning_of_its_id(store: Store, served: Served) -> None:
    finished(store)
    answer = served.get(f"/race/{ID[:6]}")
    assert (answer.status, answer.headers["Location"]) == (303, f"/race/{ID}")
    opened = served.get(f"/race/{ID}")
    assert opened.status == 200
    assert "Use a: it scored best on w" in opened.text
    assert f'data-race="{ID}"' in opened.text


def test_a_page_opens_in_the_language_of_the_browser_or_the_one_asked_for(store: Store, served: Served) -> None:
    finished(store)
    for path in ("/", f"/race/{ID}", f"/compare?a={ID}&b={ID}", "/race/99999999"):
        assert '<html lang="ko"' in served.get(path, Accept_Language="fr,ko;q=0.8,en;q=0.5").text
        assert '<html lang="en"' in served.get(path).text
    assert '<html lang="ko"' in served.get("/?lang=ko").text


@pytest.mark.parametrize("id", ["99999999", "012", "x" * 12, "0123456789AB"])
def test_a_race_that_there_is_not_is_told(id: str, store: Store, served: Served) -> None:
    finished(store)
    for path in (f"/race/{id}", f"/api/races/{id}", f"/api/races/{id}/document", f"/api/races/{id}/events"):
        answer = served.get(path)
        assert answer.status == 404
        assert re.search("There is no race|is too short|is no id of a race", answer.text), answer.text


def test_a_running_race_tells_what_changes(store: Store, served: Served) -> None:
    enter(store)
    store.beat(ID, "one", SAID)
    with served.events() as events:
        kind, hello = next(events)
        assert (kind, hello["changes"]) == ("hello", served.settings.changes)
        _, first = next(events)
        assert (first["status"], first["pulse"]["rate"]) == ("running", 90.0)
        assert [row["trials"] for row in first["so_far"]] == [0, 0]
        write(store, tuned()[:12], "first")
        grown = next(said for _, said in events if said["so_far"][0]["trials"])
        assert (grown["so_far"][0]["label"], grown["so_far"][0]["trials"]) == ("a", 12)
        drawn = next(said for _, said in events if said["version"] > first["version"])
        document = served.get(f"/api/races/{ID}/document").json
        assert document["version"] >= drawn["version"]
        assert len(document["document"]["trials"]["contender"]) == 12
        assert document["document"]["learning"]["a"]["stage"] == "tuning"
        write(store, tuned()[12:], "second")
        finish(store)
        ended = next(said for _, said in events if said["status"] == "finished")
        assert ended["so_far"] is None
        next(said for _, said in events if said["version"] > ended["version"])
    assert served.document()["summary"]["standings"][0]["label"] == "a"


def test_two_readers_get_the_same_message(store: Store, served: Served) -> None:
    enter(store)
    with served.events() as one, served.events() as two:
        store.beat(ID, "one", SAID)
        messages = [next(said for kind, said in events if kind == "state" and said["pulse"]) for events in (one, two)]
    assert messages[0] == messages[1]


def test_a_stream_that_is_opened_again_begins_with_how_it_is_now(store: Store, served: Served) -> None:
    enter(store)
    for done in (3, 17):
        store.beat(ID, "one", {**SAID, "trials_done": done})
        with served.events() as events:
            next(events)
            begun = [next(events)[1]["pulse"]["trials_done"]]
            while begun[-1] != done:  # the first may be of a moment ago
                begun.append(next(events)[1]["pulse"]["trials_done"])
            assert len(begun) <= 2


def test_nobody_looks_at_the_store_when_nobody_reads(store: Store, served: Served) -> None:
    enter(store)
    with served.events() as events:
        next(events)
        next(events)
        assert served.live.streams == 1
    until(lambda: served.live.streams == 0)
    until(lambda: served.live.hub._looking is None or served.live.hub._looking.done())


def test_a_race_without_a_pulse_is_said_to_have_stopped(
    store: Store, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_followed, "SILENT_SECONDS", 0.5)
    enter(store)
    store.beat(ID, "one", SAID)
    with served.events() as events:
        next(events)
        assert next(said for _, said in events if said["status"] == "silent")["pulse"] == SAID
        store.beat(ID, "one", SAID)  # its machine had slept
        assert next(said for _, said in events if said["status"] == "running")


def test_a_race_is_stopped_in_whatever_process_it_runs(store: Store, served: Served) -> None:
    enter(store)
    store.beat(ID, "one", SAID)
    assert served.post(f"/api/races/{ID}/stop").status == 202
    assert store.beat(ID, "one", SAID) is True
    assert served.state()["stopping"] is True
    store.set_status(ID, "interrupted")
    answer = served.post(f"/api/races/{ID}/stop")
    assert (answer.status, answer.json["problem"]) == (409, f"Race {ID} does not run, so it cannot be stopped.")


def test_a_race_that_cannot_go_on_says_why(store: Store, served: Served) -> None:
    enter(store, reference="object")
    store.set_status(ID, "interrupted")
    why = served.state()["obstacle"]
    assert why.startswith(
        f"Race {ID} was entered from Python with its own Workload 'w', which the store does not hold."
    )
    answer = served.post(f"/api/races/{ID}/resume")
    assert (answer.status, answer.json["problem"]) == (409, why)


def test_a_race_that_runs_or_has_ended_is_not_resumed(store: Store, served: Served) -> None:
    finished(store)
    enter(store, OTHER)
    store.beat(OTHER, "one", SAID)
    assert "has ended" in served.post(f"/api/races/{ID}/resume").json["problem"]
    assert "runs" in served.post(f"/api/races/{OTHER}/resume").json["problem"]


def test_a_race_that_fails_to_go_on_says_what_its_process_said(store: Store, served: Served) -> None:
    enter(store, device="cpu")  # of a workload that there is not
    store.set_status(ID, "interrupted")
    assert served.post(f"/api/races/{ID}/resume").status == 202
    assert served.state()["starting"] is True
    failed = until(lambda: served.state()["failed"], 90)
    assert failed.startswith("There is no workload 'w'."), failed
    assert served.live.resumed.log(ID).name == f"races.db.{ID}.log"


def test_two_races_are_compared(store: Store, served: Served) -> None:
    finished(store)
    finished(store, OTHER, label="c", steps=40)
    found = served.get(f"/api/compare?a={ID[:5]}&b={OTHER}").json
    assert found["comparable"] is True
    assert [race["id"] for race in found["races"]] == [ID, OTHER]
    assert [row["label"] for row in found["races"][0]["rows"]] == ["a", "b"]
    assert found["races"][0]["rows"][0]["value"] == pytest.approx(0.92)
    names = {one["name"]: (one["a"], one["b"]) for one in found["differences"]}
    assert names["steps"] == ("20", "40")
    assert set(names) == {"steps", "contender a", "contender c"}
    assert served.get(f"/compare?a={ID}&b={OTHER}").status == 200
    assert served.get("/compare").status == 404


def test_races_on_different_workloads_are_not_comparable(store: Store, served: Served) -> None:
    finished(store)
    enter(store, OTHER, workload="other")
    found = served.get(f"/api/compare?a={ID}&b={OTHER}").json
    assert found["comparable"] is False
    assert found["races"][1]["final"] is False


def test_the_landscapes_are_a_page_of_the_server_which_does_without_torch(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = {lang: [f'<html lang="{lang}">', {"/landscapes/rules.js": "1"}] for lang in ("en", "ko")}
    monkeypatch.setattr(_explainer, "MAKE", f"print({json.dumps(json.dumps(made))})")
    with serving(path) as served:
        assert served.get("/landscapes").headers["Location"] == "/landscapes/"
        assert served.get("/landscapes/", Accept_Language="ko").text == '<html lang="ko">'
        assert (served.get("/landscapes/rules.js").text, served.get("/landscapes/other.js").status) == ("1", 404)
        monkeypatch.setattr(_explainer, "MAKE", "broken")
        assert served.get("/landscapes/").status == 200  # made once
    with serving(path) as served:
        assert served.get("/landscapes/").status == 503


@pytest.mark.slow
def test_the_landscapes_are_those_of_the_package(served: Served) -> None:
    text = served.get("/landscapes/").text
    scripts = re.findall('<script src="([^"]*)"', text)
    assert scripts
    assert all(served.get(script).status == 200 for script in scripts)


# Stores that are not as they should be


def test_a_store_that_is_not_there_yet_is_shown_when_it_is(path: Path) -> None:
    with serving(path) as served:
        assert listed(served) == []
        assert "There is no store at" in served.get("/api/races").json["problem"]
        assert served.get("/").status == 200
        assert not path.exists()
        with open_store(path) as store:
            enter(store)
            assert [race["id"] for race in listed(served)] == [ID]
            assert served.get("/api/races").json["problem"] is None


def test_a_store_that_disappears_is_told_and_found_again(store: Store, served: Served, path: Path) -> None:
    enter(store)
    store.beat(ID, "one", SAID)
    with served.events() as events:
        next(events)
        assert next(events)[1]["problem"] is None
        for file in path.parent.glob("races.db*"):
            file.unlink()
        gone = next(said for _, said in events if said["problem"])
        assert gone["problem"].startswith(f"There is no store at {path}.")
        with open_store(path) as again:
            enter(again)
            again.beat(ID, "two", {**SAID, "trials_done": 1})
            back = next(said for _, said in events if said["problem"] is None)
            assert until(lambda: back["pulse"])["trials_done"] == 1


def test_another_store_in_its_place_is_another_store(store: Store, served: Served, path: Path) -> None:
    finished(store)
    assert len(served.document()["trials"]["contender"]) == 36
    store.close()
    for file in path.parent.glob("races.db*"):
        file.rename(file.with_name(f"old-{file.name}"))
    with open_store(path) as new:
        enter(new)
        write(new, tuned()[:3], "few")
    assert len(served.document()["trials"]["contender"]) == 3


@pytest.mark.parametrize("content", [b"", b"not a database", b"SQLite format 3\0" + bytes(200)])
def test_what_is_no_store_is_told_and_left_as_it_is(content: bytes, path: Path) -> None:
    path.write_bytes(content)
    with serving(path) as served:
        assert "store" in served.get("/api/races").json["problem"]
        assert served.get("/").status == 200
        assert served.get(f"/race/{ID}").status == 404
    assert path.read_bytes() == content


@pytest.mark.parametrize("schema", [1, 2, 3])
def test_a_store_of_an_older_schema_is_shown(schema: int, path: Path) -> None:
    shutil.copy(Path(__file__).parents[1] / "store" / "fixtures" / f"schema-{schema}.db", path)
    with serving(path) as served:
        (race,) = listed(served)
        assert (race["status"], race["workload"]) == ("finished", "")
        answer = served.get(f"/race/{race['id']}")
        assert answer.status == 404
        assert "cannot be shown: its record lacks" in answer.text


def test_odd_races_are_shown(store: Store, served: Served) -> None:
    enter(store)
    write(store, [outcome("a", 0, value=None)], "one")
    assert served.document()["so_far"][0]["validation"] is None
    store.set_status(ID, "interrupted")
    assert "Go on with: gradrace resume" in served.document()["sentences"]["en"]["verdict"]
    write(store, confirmed([[None] * 2] * 3, [[None] * 2] * 3), "diverged")
    store.set_status(ID, "finished")
    assert served.document()["summary"]["recommendation"]["code"] is None
    assert served.get(f"/race/{ID}").status == 200


def test_the_page_of_a_stored_race_and_the_served_document_agree(store: Store, served: Served) -> None:
    finished(store)
    assert served.document()["summary"] == json.loads(json.dumps(page_of(store, ID)["summary"]))
