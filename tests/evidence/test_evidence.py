"""The shipped evidence: complete, small, and what a race gives again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import gradrace
from gradrace._version import __version__
from gradrace.claims import claims
from gradrace.evidence import evidence
from gradrace.evidence._write import MOST_BYTES, rounded, shipped_path, write_evidence
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
