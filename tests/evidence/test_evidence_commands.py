"""``gradrace recommend``, ``gradrace table`` and ``gradrace evidence`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.errors import GradraceError
from gradrace.evidence import evidence


def gradrace(*words: str) -> Result:
    """The command line in this process; an error ends as ``main`` would end it."""
    return CliRunner().invoke(cli.app, list(words))


def test_recommend_goes_by_evidence_where_nobody_raced(tmp_path: Path) -> None:
    words = ("recommend", "images", "--store", str(tmp_path / "races.db"))
    said = gradrace(*words, "--json", "-")
    assert said.exit_code == 0
    found = json.loads(said.stdout)
    assert found["basis"] == "suite"
    assert found["races"] == [evidence()["races"]["images"]["race"]]
    text = gradrace(*words).stdout
    assert " ".join(found["sentence"].split()) in " ".join(text.split())
    assert f"    {found['code']}\n" in text


def test_table_prints_the_evidence() -> None:
    assert json.loads(gradrace("table", "--json", "-").stdout) == evidence()
    assert "Suite primer" in gradrace("table").stdout


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["recommend", "digit"], "There is no workload 'digit'. Did you mean 'digits'?"),
        (["recommend", "--race", "abcd"], "There is no store at"),
        (["claims", "adam-everywher"], "There is no claim 'adam-everywher'. Did you mean 'adam-everywhere'?"),
        (["evidence", "--out", "nowhere/evidence.json"], "The result cannot be written to 'nowhere/evidence.json'"),
    ],
)
def test_bad_input_has_its_sentence(words: list[str], sentence: str, tmp_path: Path) -> None:
    error = gradrace(*words, "--store", str(tmp_path / "races.db")).exception
    assert isinstance(error, GradraceError)
    assert sentence in str(error)
