"""The command line's page of a race: written, refused where it would do harm, and the same as from Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import gradrace
from gradrace import cli
from gradrace.errors import GradraceError, SpecError
from gradrace.race.result import RaceResult

SMALL: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}
WORDS = [word for name, value in SMALL.items() for word in (f"--{name}", str(value))]


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def refused(*words: str) -> str:
    error = run(*words).exception
    assert isinstance(error, GradraceError), error
    return str(error)


@pytest.mark.usefixtures("inline_lanes")
def test_a_race_leaves_its_page(tmp_path: Path) -> None:
    store, html, text = str(tmp_path / "races.db"), tmp_path / "race.html", tmp_path / "race.md"
    raced = run("race", "linear", "--optimizers", "sgd,b=adam", *WORDS, "--store", store, "--report", str(html), "-q")
    assert raced.exit_code == 0, raced.exception
    first = html.read_text(encoding="utf-8")
    assert "<title>linear: race " in first
    race = run("races", "--store", store).stdout.splitlines()[1].split()[0]

    asked = ("report", race[:6], "--store", store, "--html", str(html))
    assert f"The file '{html}' exists." in refused(*asked)
    done = run(*asked, "--force", "--markdown", str(text))
    assert done.stdout.splitlines() == [f"{path}: {path.stat().st_size:,} bytes" for path in (html, text)]
    assert html.read_text(encoding="utf-8") == first
    assert text.read_text(encoding="utf-8").startswith("# linear: race ")

    again = gradrace.race("linear", ["sgd", gradrace.Contender("adam", "b")], **SMALL, store=store)
    assert again.id == race
    saved = again.save_html(tmp_path / "again.html", lang="ko")
    korean = saved.read_text(encoding="utf-8")
    assert '<html lang="ko"' in korean
    assert "--optimizers sgd,b=adam --studies 3 --trials 4 --seeds 2 --steps 40" in korean
    with pytest.raises(SpecError, match="not read from a store"):
        RaceResult(again.to_json()).save_html(tmp_path / "other.html")

    assert "There is nothing to write. Give --html PATH" in refused("report", race, "--store", store)
    assert "There is no language 'kr'. " in refused(*asked, "--force", "--lang", "kr")
    assert "cannot be written to" in refused(
        "report", race, "--store", store, "--html", str(tmp_path / "no" / "x.html")
    )
    assert "There is no race 'ffffff'" in refused("report", "ffffff", *asked[2:], "--force")
    assert sorted(path.name for path in tmp_path.glob("*.html")) == ["again.html", "race.html"]


def test_a_page_that_cannot_be_written_stops_the_race_before_it_starts(tmp_path: Path) -> None:
    store = tmp_path / "races.db"
    said = refused("race", "linear", *WORDS, "--store", str(store), "--report", str(tmp_path / "no" / "x.html"), "-q")
    assert "cannot be written to" in said
    assert not store.exists()
    assert "--report writes the page of one race" in refused("race", "--suite", "primer", "--report", "x.html")
