"""The command line's pictures and tables of a stored race: written, refused where it would do harm, as from Python."""

from __future__ import annotations

import csv
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner, Result

import gradrace
from gradrace import cli
from gradrace.errors import GradraceError, SpecError, StoreError
from gradrace.outcomes import Outcome
from gradrace.race import api, orchestrator
from gradrace.race.result import IN_NOTEBOOKS, RaceResult
from gradrace.report.pictures import KINDS
from gradrace.store import open_store
from inline_lanes import InlineLanes

SMALL: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 40}


class Raced(NamedTuple):
    """A small race in a store of its own."""

    result: RaceResult
    store: Path
    outcomes: list[Outcome]

    @property
    def where(self) -> tuple[str, ...]:
        return (self.result.id, "--store", str(self.store))


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Raced]:
    store = tmp_path_factory.mktemp("races") / "races.db"
    contenders = [gradrace.Contender("sgd", "=sgd"), "adam"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "Lanes", InlineLanes)
        result = gradrace.race("linear", contenders, **SMALL, store=store)
    with open_store(store, must_exist=True) as opened:
        yield Raced(result, store, opened.outcomes(result.id))


def run(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def refused(*words: str) -> str:
    error = run(*words).exception
    assert isinstance(error, GradraceError), error
    return str(error)


class TestPlot:
    @pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
    def test_a_picture_of_the_size_asked_for(self, raced: Raced, tmp_path: Path, ending: str) -> None:
        path = tmp_path / f"x.{ending}"
        done = run("plot", *raced.where, "--kind", "lr-sensitivity", "-o", str(path), "--width", "5", "--height", "3")
        assert done.stdout == f"{path}: {path.stat().st_size:,} bytes\n", done.exception
        assert path.read_bytes().startswith({"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}[ending])
        if ending == "svg":
            assert 'width="360pt" height="216pt"' in path.read_text(encoding="utf-8")

    def test_all_of_them_into_a_folder(self, raced: Raced, tmp_path: Path) -> None:
        folder = tmp_path / "pictures"
        done = run("plot", *raced.where, "-o", str(folder), "--format", "svg", "--lang", "ko", "--style", "dark")
        assert done.exit_code == 0, done.exception
        told = dict(re.findall(r"(?m)^(\S+): (.*)\.$", done.stderr))
        written = {path.stem for path in folder.iterdir()}
        assert written == set(KINDS) - set(told)
        assert len(written) > 8
        assert "학습률" in (folder / "lr-sensitivity.svg").read_text(encoding="utf-8")
        assert "#181c22" in (folder / "standings.svg").read_text(encoding="utf-8")
        assert f"The file '{folder / 'standings.svg'}' exists." in refused(
            "plot", *raced.where, "-o", str(folder), "--format", "svg"
        )
        assert run("plot", *raced.where, "-o", str(folder), "--format", "svg", "--force").exit_code == 0

    def test_what_is_refused_before_anything_is_read_or_written(self, raced: Raced, tmp_path: Path) -> None:
        path = str(tmp_path / "x.png")

        def other(name: str) -> tuple[str, ...]:
            return ("--kind", "cost", "-o", str(tmp_path / name))

        cost = other("x.png")
        every = ("-o", str(tmp_path / "pictures"))
        for words, said in (
            (("--kind", "lr-sensitvity", "-o", path), "'lr-sensitvity'. Did you mean 'lr-sensitivity'? Known: all, "),
            (other("x.jpg"), "There is no format of pictures 'jpg'. Did you mean 'png'? Known: pdf, png, svg."),
            (other("x"), "does not say a format. Let it end in one of these: .png, .svg, .pdf."),
            ((*cost, "--format", "svg"), "--format svg is of the pictures in a folder"),
            ((*cost, "--style", "drak"), "There is no style of pictures 'drak'. Did you mean 'dark'?"),
            ((*cost, "--lang", "fr"), "There is no language 'fr'."),
            ((*cost, "--width", "-1"), "The width of a picture must be above 0 and at most 50 inches, but is -1."),
            ((*cost, "--dpi", "0"), "The dots per inch of a picture must be above 0"),
            ((*cost, "--width", "0.1"), "is too small for what stands in it"),
            (other("no/x.png"), "cannot be written to"),
            ((*every, "--format", "jpg"), "There is no format of pictures 'jpg'."),
            ((*every, "--style", "drak"), "There is no style of pictures 'drak'."),
            (("-o", str(tmp_path / "no" / "pictures")), "Nothing can be written to the folder"),
        ):
            assert said in refused("plot", *raced.where, *words)
        assert "There is no race 'ffffff'" in refused("plot", "ffffff", *raced.where[1:], "--kind", "cost", "-o", path)
        assert list(tmp_path.iterdir()) == []

    def test_python_draws_the_same(self, raced: Raced, tmp_path: Path) -> None:
        figure = raced.result.plot("standings", width=5)
        assert figure.get_size_inches()[0] == 5
        shown: Any = figure
        content, size = shown._repr_png_()
        assert content.startswith(b"\x89PNG")
        assert size["width"] == 480
        with pytest.raises(SpecError, match=r"'standing'\. Did you mean 'standings'"):
            raced.result.plot("standing")
        with pytest.raises(SpecError, match="so its trials are not known and nothing can be drawn"):
            RaceResult(raced.result.to_json()).plot()


class TestExport:
    def test_trials_and_curves_as_their_names_say(self, raced: Raced, tmp_path: Path) -> None:
        trials, curves = tmp_path / "trials.json", tmp_path / "curves.parquet"
        done = run("export", *raced.where, "-o", str(trials), "--curves", str(curves))
        assert done.stdout.splitlines() == [f"{path}: {path.stat().st_size:,} bytes" for path in (trials, curves)]
        rows = {row["trial"]: row for row in json.loads(trials.read_text(encoding="utf-8"))}
        for o in raced.outcomes:
            assert rows[o.trial]["validation"] == o.validation
            assert rows[o.trial]["configuration_lr"] == o.configuration["lr"]
        assert len(rows) == len(raced.outcomes)

    def test_a_folder_gets_both_and_is_made(self, raced: Raced, tmp_path: Path) -> None:
        folder = tmp_path / "tables"
        assert run("export", *raced.where, "-o", str(folder)).exit_code == 0
        assert sorted(path.name for path in folder.iterdir()) == ["curves.csv", "trials.csv"]
        rows = list(csv.DictReader((folder / "trials.csv").read_text(encoding="utf-8").splitlines()))
        assert {row["contender"] for row in rows} == {"'=sgd", "adam"}
        points = list(csv.DictReader((folder / "curves.csv").read_text(encoding="utf-8").splitlines()))
        assert len(points) == sum(len(o.curve.step) for o in raced.outcomes)
        assert f"The file '{folder / 'trials.csv'}' exists." in refused("export", *raced.where, "-o", str(folder))
        assert run("export", *raced.where, "-o", str(folder), "--force").exit_code == 0

    def test_what_is_refused(self, raced: Raced, tmp_path: Path) -> None:
        same = str(tmp_path / "a.csv")
        for words, said in (
            ((), "There is nothing to write. Give -o PATH for the trials, or --curves PATH"),
            (("-o", str(tmp_path / "a.xlsx")), "There is no format of tables 'xlsx'."),
            (("--curves", str(tmp_path / "curves")), "does not say a format. Let it end in .csv, .parquet or .json."),
            (("-o", same, "--curves", same), "cannot both go to"),
            (("-o", str(tmp_path / "no" / "a.csv")), "cannot be written to"),
        ):
            assert said in refused("export", *raced.where, *words)
        assert "There is no race 'ffffff'" in refused("export", "ffffff", *raced.where[1:], "-o", same)
        assert list(tmp_path.iterdir()) == []

    def test_python_writes_the_same(self, raced: Raced, tmp_path: Path) -> None:
        assert run("export", *raced.where, "-o", str(tmp_path / "a.csv")).exit_code == 0
        raced.result.export(tmp_path / "b.csv", tmp_path / "c.json")
        assert (tmp_path / "a.csv").read_bytes() == (tmp_path / "b.csv").read_bytes()
        assert (tmp_path / "c.json").exists()
        with pytest.raises(SpecError, match="exists"):
            raced.result.export(tmp_path / "b.csv")


class TestNotFinal:
    def test_a_race_that_was_stopped_says_so_everywhere(self, raced: Raced, tmp_path: Path) -> None:
        """Pictures and pages in words, tables by the command's remark; the export holds what there is."""
        store = tmp_path / "races.db"
        with open_store(raced.store, must_exist=True) as old, open_store(store) as new:
            entered = old.race(raced.result.id)
            new.create_race(entered.id, entered.spec, entered.plan, entered.machine, entered.version)
            some = [o for o in raced.outcomes if o.stage.value == "tuning" and o.study == 0]
            new.write_block(entered.id, "block", some)
            new.set_status(entered.id, "interrupted")
        where = (entered.id, "--store", str(store))
        sentence = f"The race was stopped; {len(some)} trials are stored. Go on with: gradrace resume {entered.id}"
        drawn = run("plot", *where, "-o", str(tmp_path / "pictures"), "--format", "svg")
        assert sorted(path.stem for path in (tmp_path / "pictures").iterdir()) == ["lr-sensitivity", "rungs"]
        assert "standings: There are no standings yet" in drawn.stderr
        for path in (tmp_path / "pictures").iterdir():
            said = " ".join(re.findall(r">([^<>\n]+)</t", path.read_text(encoding="utf-8")))
            assert sentence in said
        files = {name: tmp_path / f"race.{name}" for name in ("html", "markdown", "latex")}
        written = run("report", *where, *(word for name, path in files.items() for word in (f"--{name}", str(path))))
        assert written.exit_code == 0, written.exception
        for path in files.values():
            assert sentence in path.read_text(encoding="utf-8")
        exported = run("export", *where, "-o", str(tmp_path / "trials.csv"))
        assert exported.stderr == f"Race {entered.id} has not finished: these are the trials that ended so far.\n"
        assert len((tmp_path / "trials.csv").read_text(encoding="utf-8").splitlines()) == len(some) + 1
        assert "There is nothing to draw of the kind 'standings': There are no standings yet" in refused(
            "plot", *where, "--kind", "standings", "-o", str(tmp_path / "x.png")
        )


class TestReports:
    def test_latex_beside_markdown_and_html(self, raced: Raced, tmp_path: Path) -> None:
        latex = tmp_path / "race.tex"
        assert run("report", *raced.where, "--latex", str(latex)).stdout == f"{latex}: {latex.stat().st_size:,} bytes\n"
        assert "\\toprule" in latex.read_text(encoding="utf-8")
        assert f"The file '{latex}' exists." in refused("report", *raced.where, "--latex", str(latex))

    @pytest.mark.usefixtures("inline_lanes")
    def test_resume_leaves_the_page(self, raced: Raced, tmp_path: Path) -> None:
        page = tmp_path / "race.html"
        done = run("resume", *raced.where, "--report", str(page), "-q")
        assert done.exit_code == 0, done.exception
        assert "<title>linear: race " in page.read_text(encoding="utf-8")
        other = api.resume(raced.result.id, store=raced.store, report=tmp_path / "python.html")
        assert (tmp_path / "python.html").read_bytes() == page.read_bytes()
        assert other.id == raced.result.id
        assert "cannot be written to" in refused("resume", *raced.where, "--report", str(tmp_path / "no" / "x.html"))

    def test_the_evidence_as_markdown_and_latex(self, tmp_path: Path) -> None:
        files = [tmp_path / "table.md", tmp_path / "table.tex"]
        words = ("table", "--markdown", str(files[0]), "--latex", str(files[1]))
        done = run(*words)
        assert done.exit_code == 0, done.exception
        assert "What each is said to suit" in done.stdout
        assert files[0].read_text(encoding="utf-8").startswith("# Suite primer\n")
        assert "\\label{tab:gradrace-primer-claims}" in files[1].read_text(encoding="utf-8")
        assert f"The file '{files[0]}' exists." in refused(*words)
        assert run(*words, "--force").exit_code == 0


class TestInNotebooks:
    def test_a_result_shows_its_pictures(self, raced: Raced) -> None:
        html = raced.result._repr_html_()
        pictures = re.findall(r'<img alt="[^"]+" src="data:image/svg\+xml;base64,[A-Za-z0-9+/=]+"', html)
        assert len(pictures) == len(IN_NOTEBOOKS)
        assert "<script" not in html
        assert "<td>=sgd</td>" in html
        assert html == raced.result._repr_html_()

    def test_without_matplotlib_or_store_the_rest_is_shown(self, raced: Raced, monkeypatch: pytest.MonkeyPatch) -> None:
        plain = RaceResult(raced.result.to_json())._repr_html_()
        assert "<img" not in plain
        assert "<td>=sgd</td>" in plain
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
        assert raced.result._repr_html_() == plain

    def test_a_store_that_went_away(self, raced: Raced, tmp_path: Path) -> None:
        gone = RaceResult(raced.result.to_json(), tmp_path / "gone.db")
        assert "<img" not in gone._repr_html_()
        with pytest.raises(StoreError, match="There is no store at"):
            gone.plot()
