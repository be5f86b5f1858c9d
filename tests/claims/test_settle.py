"""Claims settled by races that are run: each once, from the store if it can be, and told as JSON and as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_races import around, made
from torch import nn
from torch.nn import functional
from typer.testing import CliRunner, Result

from gradrace import cli
from gradrace.claims import Asked, Check, Claim, Decided, Raced, claims
from gradrace.claims import _settle as settling
from gradrace.claims._settle import ClaimsResult, settle
from gradrace.data import Wheel
from gradrace.errors import SpecError
from gradrace.race import api
from gradrace.race.api import race
from gradrace.race.orchestrator import Entry
from gradrace.store import open_store
from gradrace.workloads import Workload
from inline_lanes import InlineLanes

TINY: dict[str, Any] = {"studies": 3, "trials": 4, "seeds": 2, "steps": 8, "engine": "loop"}
QUICK: dict[str, Any] = {**TINY, "steps": 4}
TWO = ("sgd", "adam")


def complete(raced: Raced) -> Check:
    """So if the race is the one that was asked for: all trials of both contenders, by summary and by outcomes."""
    tuned = {(label, study): len(raced.tuned(label, study)) for label in raced.labels for study in range(3)}
    confirmed = {label: [outcome.test for outcome in raced.confirmed(label)] for label in raced.labels}
    so = tuned == {(label, study): 4 for label in TWO for study in range(3)}
    so = so and confirmed == {label: raced.scores(label).ravel().tolist() for label in TWO}
    counts = {label: len(values) for label, values in confirmed.items()}
    return Check("all trials are there", so, f"confirmed {counts}", numbers={"steps": raced.summary["plan"]["steps"]})


def impossible(raced: Raced) -> Check:
    return Check("sgd's loss is below 0", raced.mean("sgd") < 0, f"{raced.metric} {raced.mean('sgd'):.4g}")


def unknowable(raced: Raced) -> Check:
    return Check(f"it will rain on {raced.name}", None, "no cloud was raced", "A barometer would help.")


def made_claim(name: str, *parts: Any, workload: str | Workload = "linear") -> Claim:
    """A claim about one tiny race, with a check by each of ``parts``."""
    return Claim(
        name=name,
        title=f"The title of {name}",
        source=f"the source of {name}",
        statement=f"The statement of {name}.",
        refuted_by=f"What refutes {name}.",
        races=lambda quick: {"only": Asked(workload, TWO, QUICK if quick else TINY)},
        judge=lambda found: [part(found["only"]) for part in parts],
    )


def broken() -> Any:
    raise ValueError("the file is torn")


def loading(data: Any, name: str, wheels: tuple[Wheel, ...] = ()) -> Workload:
    model = partial(nn.Linear, 2, 1)
    return Workload(name, model=model, data=data, loss=functional.mse_loss, metric="mse", wheels=wheels)


WHEEL = Wheel("no-such-data", "1.0", "0" * 64, 1.0, "None.")
CLAIMS = {
    one.name: one
    for one in (
        made_claim("true", complete),
        made_claim("untrue", complete, impossible, unknowable),
        made_claim("unknown", complete, unknowable),
        made_claim("unfetched", complete, workload=loading(lambda: torch.zeros(3, 2), "unfetched", (WHEEL,))),
        made_claim("torn", complete, workload=loading(broken, "torn")),
    )
}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


@pytest.fixture
def made_claims(monkeypatch: pytest.MonkeyPatch) -> None:
    """The claims of this file are all there are."""
    monkeypatch.setattr(settling, "claims", lambda: CLAIMS)
    monkeypatch.setattr(settling, "claim", CLAIMS.__getitem__)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch, made_claims: None) -> list[Entry]:
    """And their races are made up: the entries that were to be raced."""
    entries: list[Entry] = []
    table = around(1.0, studies=3)
    known = made({"sgd": table, "adam": table}, name="linear", tuning={"sgd": np.ones((3, 4)), "adam": np.ones((3, 4))})

    def raced(entry: Entry, path: Path, kept: ExitStack, lanes: int | None, quiet: bool) -> Any:
        entries.append(entry)
        return known.summary, known.outcomes

    monkeypatch.setattr(settling, "raced", raced)
    return entries


def blocks(lanes: type[InlineLanes]) -> int:
    return sum("/" in key for key in lanes.ran)


def outcomes(result: ClaimsResult) -> dict[str, Decided]:
    return {settled.claim.name: settled.decision for settled in result.settled}


# --- deciding ---


def test_decisions_follow_and_a_race_that_several_claims_ask_for_is_trained_once(
    store: Path, made_claims: None, inline_lanes: type[InlineLanes]
) -> None:
    alone = settle(["true"], store=store)
    trained = blocks(inline_lanes)
    assert trained > 0
    assert outcomes(alone) == {"true": Decided.HOLDS}

    several = settle(["unknown", "true", "untrue"], store=store)
    assert outcomes(several) == {"unknown": Decided.UNDECIDED, "true": Decided.HOLDS, "untrue": Decided.FAILS}
    assert blocks(inline_lanes) == trained
    assert [settled.races for settled in several.settled] == [alone.settled[0].races] * 3
    with open_store(store, must_exist=True) as opened:
        assert [record.id for record in opened.races()] == [alone.settled[0].races["only"]]
        before = opened.outcomes(alone.settled[0].races["only"])

    again = settle(["true"], store=store).to_json()
    with open_store(store, must_exist=True) as opened:
        assert opened.outcomes(alone.settled[0].races["only"]) == before
    first = alone.to_json()
    for document in (first, again):
        assert document["claims"][0].pop("seconds") >= 0
    assert again == first

    # It is the race that anyone can run, and read with the other commands.
    mine = race("linear", TWO, store=store, **TINY)
    assert mine.id == alone.settled[0].races["only"]
    assert blocks(inline_lanes) == trained


def test_within_one_suite_a_race_is_run_or_read_once(store: Path, made_up: list[Entry]) -> None:
    result = settle(["true", "untrue", "true"], store=store)
    assert len(made_up) == 1
    assert [settled.races for settled in result.settled] == [{"only": made_up[0].id}] * 3


def test_all_races_of_a_suite_have_lanes_from_one_set_of_imports_and_none_if_all_have_ended(
    store: Path, made_claims: None, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    @contextmanager
    def ahead(device: str) -> Iterator[None]:
        told.append("asked for")
        yield
        told.append(f"closed after {blocks(inline_lanes)} blocks")

    monkeypatch.setattr(api, "lanes_ahead", ahead)
    two = [made_claim("true", complete), made_claim("elsewhere", complete, workload="quadratic")]
    monkeypatch.setattr(settling, "claims", lambda: {one.name: one for one in two})
    settle(store=store)
    assert told == [*["asked for"] * 2, *[f"closed after {blocks(inline_lanes)} blocks"] * 2]
    settle(store=store)
    assert len(told) == 4


def test_quick_and_another_seed_are_other_races(store: Path, made_up: list[Entry]) -> None:
    results = [settle(["true"], store=store, quick=True, seed=0), settle(["true"], store=store, seed=1)]
    assert [(entry.spec.steps, entry.spec.seed) for entry in made_up] == [(4, 0), (8, 1)]
    assert len({entry.id for entry in made_up}) == 2
    assert [(result.to_json()["quick"], result.to_json()["seed"]) for result in results] == [(True, 0), (False, 1)]
    assert ["These were the short races (--quick)." in repr(result) for result in results] == [True, False]
    assert "Of 1 claim 1 holds." in repr(results[0])


def test_a_workload_that_cannot_be_had_leaves_its_claim_undecided_and_says_why(
    store: Path, tmp_path: Path, made_claims: None, inline_lanes: type[InlineLanes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRADRACE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GRADRACE_OFFLINE", "1")
    result = settle(["unfetched", "torn"], store=store)
    assert not store.exists()
    assert blocks(inline_lanes) == 0
    assert set(outcomes(result).values()) == {Decided.UNDECIDED}
    (unfetched,), (torn,) = (settled.checks for settled in result.settled)
    assert unfetched.part == torn.part == "its races can be run"
    assert "GRADRACE_OFFLINE is set, so it is not fetched" in unfetched.evidence
    assert "ValueError: the file is torn" in torn.evidence
    text = " ".join(repr(result).split())
    assert "Of 2 claims 2 are undecided." in text
    assert "GRADRACE_OFFLINE unset. Once they can, this can be settled." in text


# --- telling ---


def test_all_claims_as_json_and_in_the_terminal(store: Path, tmp_path: Path, made_up: list[Entry]) -> None:
    file = tmp_path / "claims.json"
    said = gradrace("claims", "true", "untrue", "unknown", "--store", str(store), "--json", str(file))
    assert said.exit_code == 0, said.exception
    document = json.loads(file.read_text())
    assert set(document) == {"schema", "gradrace", "machine", "quick", "seed", "claims"}
    assert [known["decision"] for known in document["claims"]] == ["holds", "does not hold", "undecided"]
    untrue = document["claims"][1]
    assert set(untrue) == {
        "claim", "title", "source", "statement", "refuted_by", "decision", "checks", "races", "seconds",
    }  # fmt: skip
    assert [check["so"] for check in untrue["checks"]] == [True, False, None]
    assert [check["more"] for check in untrue["checks"]] == [None, None, "A barometer would help."]
    assert untrue["checks"][0]["numbers"] == {"steps": 100}
    assert untrue["races"] == {"only": made_up[0].id}

    words = " ".join(said.stdout.split())
    assert "Of 3 claims 1 holds, 1 does not hold and 1 is undecided." in words
    for known in document["claims"]:
        name = known["claim"]
        assert f"{name} {known['decision']} The title of {name}" in words
        assert f"{name}: {known['decision']} The statement of {name}. Source: the source of {name}. " in words
        assert f"Refuted if: What refutes {name}." in words
    assert f"no sgd's loss is below 0: {untrue['checks'][1]['evidence']}." in words
    assert "open it will rain on linear: no cloud was raced. A barometer would help." in words
    assert "yes all trials are there: confirmed {'sgd': 6, 'adam': 6}." in words
    assert "true: race 1 of 1, only" in said.stderr
    assert "untrue: does not hold" in said.stderr

    alone = gradrace("claims", "true", "--store", str(store), "--json", "-", "--quiet")
    assert json.loads(alone.stdout)["claims"][0]["races"] == untrue["races"]
    assert alone.stderr == ""


def gradrace(*words: str) -> Result:
    return CliRunner().invoke(cli.app, list(words))


def test_the_list_says_what_would_refute_each_before_any_race(tmp_path: Path) -> None:
    said = gradrace("claims", "--list", "--store", str(tmp_path / "new.db"))
    assert said.exit_code == 0, said.exception
    words = " ".join(said.stdout.split())
    for name, known in claims().items():
        assert f"{name}: {known.title} {known.statement} Source: {known.source}. " in words
        assert f"Refuted if: {known.refuted_by}" in words
    one = " ".join(gradrace("claims", "inclusion", "--list").stdout.split())
    assert one.startswith("inclusion: ")
    assert "adam-everywhere" not in one
    assert not (tmp_path / "new.db").exists()


def test_an_unknown_claim_exits_with_2_and_the_nearest_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for more in ([], ["--list"]):
        monkeypatch.setattr("sys.argv", ["gradrace", "claims", "not-nose", *more])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 2
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err.startswith("gradrace: There is no claim 'not-nose'. Did you mean 'not-noise'? Known: ")


def test_a_file_that_cannot_be_written_is_told_before_anything_is_raced(store: Path, made_up: list[Entry]) -> None:
    said = gradrace("claims", "true", "--store", str(store), "--json", "nowhere/claims.json")
    assert isinstance(said.exception, SpecError)
    assert "The result cannot be written to 'nowhere/claims.json'" in str(said.exception)
    assert made_up == []
