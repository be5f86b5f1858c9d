"""The shipped evidence: complete, small, and what a race gives again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import gradrace
from gradrace import SuiteResult
from gradrace._version import __version__
from gradrace.claims import ClaimsResult, claims
from gradrace.evidence import _write, evidence
from gradrace.evidence._recommend import from_evidence
from gradrace.evidence._write import MOST_BYTES, make_evidence, rounded, shipped_path, write_evidence
from gradrace.race.suite import race_each
from gradrace.report import evidence as pages
from gradrace.report.terminal import as_text
from gradrace.workloads import suite, workload
from gradrace.workloads._kinds import kind_of


def test_it_is_of_this_version_and_holds_the_whole_suite_and_every_claim() -> None:
    known = evidence()
    assert known["gradrace"] == __version__
    assert set(known["races"]) == set(suite("primer")) == {row["name"] for row in known["suite"]["workloads"]}
    assert [row["claim"] for row in known["claims"]["claims"]] == list(claims())
    assert not known["claims"]["quick"]
    assert all(known[key] for key in ("created", "machine", "command"))
    assert known["seed"] == 0
    assert shipped_path().stat().st_size <= MOST_BYTES
    for name, race in known["races"].items():
        kind = kind_of(workload(name))
        assert race["kind"] == (None if kind is None else kind.value)
        assert len(race["standings"]) == len(known["suite"]["contenders"])


def test_a_part_of_it_comes_out_again(tmp_path: Path) -> None:
    known = evidence()["races"]["linear"]
    result = gradrace.race("linear", store=tmp_path / "races.db")
    assert result.id == known["race"]  # the very same spec
    # To the bit on one machine, and to some digits where another processor rounds otherwise.
    again = {row["label"]: row for row in result.standings}
    for row in known["standings"]:
        assert again[row["label"]]["test"]["mean"] == pytest.approx(row["test"]["mean"], rel=1e-3)
        assert again[row["label"]]["place"] == row["place"]
    assert [pair["decision"] for pair in result.pairs] == [pair["decision"] for pair in known["pairs"]]


def test_floats_are_rounded_to_six_digits_and_nothing_else_is_changed() -> None:
    values = {"a": [0.123456789, 1, True, None, "0.123456789"], "b": {"c": (1234567.8,)}}
    assert rounded(values) == {"a": [0.123457, 1, True, None, "0.123456789"], "b": {"c": [1234570.0]}}


def test_what_is_too_large_to_ship_is_refused_and_the_old_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "evidence.json"
    size = write_evidence({"a": 1}, path)
    assert json.loads(path.read_text()) == {"a": 1}
    assert path.stat().st_size == size
    with pytest.raises(ValueError, match=r"The evidence has 2,000,\d\d\d bytes; at most 2,000,000 are shipped"):
        write_evidence({"a": "x" * MOST_BYTES}, path)
    assert json.loads(path.read_text()) == {"a": 1}


def test_making_it_gives_what_a_recommendation_and_the_table_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tiny(name: str, **options: Any) -> SuiteResult:
        works = ("linear", "quadratic")
        short: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 8}
        return race_each(name, works, ("sgd", "adam"), store=options["store"], seed=options["seed"], **short)

    def none(**options: Any) -> ClaimsResult:
        return ClaimsResult([], options["quick"], options["seed"])

    monkeypatch.setattr(_write, "race_suite", tiny)
    monkeypatch.setattr(_write, "settle", none)
    made = make_evidence(seed=3, store=tmp_path / "races.db")
    path = tmp_path / "evidence.json"
    write_evidence(made, path)
    read = json.loads(path.read_text())
    assert read["command"] == "gradrace evidence --seed 3"
    assert list(read["races"]) == ["linear", "quadratic"]
    assert read["races"]["linear"]["kind"] == "a network of plain layers"
    found = from_evidence(workload("digits"), read)
    assert found.races == tuple(race["race"] for race in read["races"].values())
    assert "Suite primer" in as_text(pages.render(read))
