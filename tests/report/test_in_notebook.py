"""Progress and results in notebooks: in place, escaped, and in real ones of Jupyter and marimo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbclient
import nbformat
import pytest
from stored_race import outcome

from gradrace.report import in_notebook
from gradrace.report.in_notebook import NotebookProgress, notebook
from gradrace.report.progress import PlainProgress, progress

EXAMPLE = Path(__file__).parents[2] / "examples" / "notebook.ipynb"

CELLS = """
import marimo
app = marimo.App()

@app.cell
def _():
    import gradrace
    result = gradrace.race("linear", ["sgd", "adam"], studies=3, trials=4, seeds=1, steps=20, lanes=1, quiet=False)
    return (result,)

@app.cell
def _(result):
    result
    return

@app.cell
def _(result):
    result.plot("cost")
    return

if __name__ == "__main__":
    app.run()
"""


@pytest.fixture
def apart(tmp_path: Path) -> dict[str, str]:
    """The environment of a notebook's process, whose races are kept apart."""
    return {**os.environ, "GRADRACE_STORE": str(tmp_path / "races.db"), "IPYTHONDIR": str(tmp_path / "ipython")}


class Shown:
    """What was shown, as HTML and as text."""

    def __init__(self) -> None:
        self.html: list[str] = []
        self.plain: list[str] = []

    def __call__(self, html: str, plain: str) -> None:
        self.html.append(html)
        self.plain.append(plain)


def test_what_is_shown_while_a_race_runs_and_what_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(in_notebook, "REFRESH_SECONDS", 0.0)
    shown = Shown()
    with NotebookProgress(shown, "max") as display:
        display.say("Race <abc>")
        display.stage("tuning", 4, 80, 40)
        display.steps(20)
        display.block([outcome("<b>&", 0, value=0.5)], trained=True)
    assert "Race &lt;abc&gt;" in shown.html[0]
    assert '<progress value="20" max="80"></progress>' in shown.html[-2]
    assert "tuning: 1 of 4 trials" in shown.plain[-2]
    assert shown.plain[-2].endswith("leader so far <b>& (0.5)")
    assert "leader so far &lt;b&gt;&amp; (0.5)" in shown.html[-2]
    assert shown.html[-1] == '<div class="gradrace"><div>Race &lt;abc&gt;</div></div>'
    assert shown.plain[-1] == "Race <abc>"


def test_it_is_not_drawn_more_often_than_can_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(monotonic=lambda: 100.0)
    monkeypatch.setattr(in_notebook, "time", clock)
    shown = Shown()
    with NotebookProgress(shown) as display:
        display.stage("tuning", 4, 1000, 0)
        for _ in range(50):
            display.steps(1)
        assert len(shown.html) == 1
        clock.monotonic = lambda: 100.0 + in_notebook.REFRESH_SECONDS
        display.steps(1)
        assert len(shown.html) == 2


class TestWhichDisplay:
    @pytest.fixture(autouse=True)
    def nowhere(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("IPython", "marimo"):
            monkeypatch.delitem(sys.modules, name, raising=False)

    def test_without_a_notebook(self) -> None:
        assert notebook() is None
        assert isinstance(progress(), PlainProgress)

    @pytest.mark.parametrize("shell", [None, SimpleNamespace()])
    def test_the_ipython_of_a_terminal_is_none(self, shell: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        assert notebook() is None

    def test_a_marimo_that_is_imported_but_runs_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: False))
        assert notebook() is None

    def test_a_cell_of_marimo(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shown: list[str] = []
        marimo = SimpleNamespace(
            running_in_notebook=lambda: True, Html=lambda text: text, output=SimpleNamespace(replace=shown.append)
        )
        monkeypatch.setitem(sys.modules, "marimo", marimo)
        display = progress()
        assert isinstance(display, NotebookProgress)
        display.say("here")
        assert "<div>here</div>" in shown[0]

    def test_a_stream_that_was_asked_for_has_the_lines(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setitem(sys.modules, "marimo", SimpleNamespace(running_in_notebook=lambda: True))
        with (tmp_path / "lines.txt").open("w") as stream:
            assert isinstance(progress("max", stream), PlainProgress)


@pytest.mark.slow
def test_the_example_runs_in_jupyter(apart: dict[str, str], tmp_path: Path) -> None:
    """Progress is one place that is drawn anew, nothing else is printed, and the result shows text and pictures."""
    cells = nbformat.read(EXAMPLE, as_version=4)
    assert not [cell for cell in cells.cells if cell.get("outputs")]
    messages: list[tuple[str, Any]] = []

    class Client(nbclient.NotebookClient):
        def process_message(self, msg: dict[str, Any], cell: Any, cell_index: int) -> Any:
            messages.append((msg["msg_type"], msg["content"].get("data")))
            return super().process_message(msg, cell, cell_index)

    client = Client(cells, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}})
    client.execute(env=apart)
    race, budget, frame = (cell["outputs"] for cell in cells.cells if cell["cell_type"] == "code")
    progressed, result = race
    assert progressed["data"]["text/plain"].startswith("Race ")
    assert "\n" not in progressed["data"]["text/plain"]
    drawn = [data["text/plain"] for kind, data in messages if kind == "update_display_data"]
    assert any("tuning: " in words for words in drawn)
    assert result["data"]["text/html"].count("<img alt=") == 3
    assert result["data"]["text/plain"].lstrip().startswith("Verdict")
    assert budget[0]["data"]["image/png"]
    assert "configuration_lr" in frame[0]["data"]["text/html"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["export", "script"])
def test_in_marimo(apart: dict[str, str], tmp_path: Path, way: str) -> None:
    """Its pages have the pictures, without a script of ours; as a script it prints lines."""
    path, page = tmp_path / "cells.py", tmp_path / "page.html"
    path.write_text(CELLS, encoding="utf-8")
    export = ["-m", "marimo", "export", "html", str(path), "-o", str(page), "--no-include-code"]
    words = [sys.executable, *(export if way == "export" else [str(path)])]
    done = subprocess.run(words, env=apart, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    if way == "script":
        assert "tuning: " in done.stderr
        return
    html = page.read_text(encoding="utf-8")
    assert html.count("data:image/svg+xml;base64,") == 3
    assert "data:image/png;base64," in html
    assert "tuning: " not in done.stderr + json.dumps(html)
    assert " on linear: sgd, adam" in html
