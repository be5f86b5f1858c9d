"""Finished studies of Optuna become a race: real ones, out of objects, SQLite and a journal."""

from __future__ import annotations

import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from typer.testing import CliRunner

from gradrace import SpecError, cli, import_runs
from gradrace.outcomes import Outcome, Stage, Status
from gradrace.store import open_store

PAGE = Path(__file__).parents[2] / "docs" / "import.md"
TRIALS = 5


@pytest.fixture(autouse=True)
def _silent() -> None:
    optuna.logging.set_verbosity(optuna.logging.ERROR)


def objective(best: float) -> Any:
    """A loss that is least at lr 0.1, reported on the way; the second trial fails and the third is pruned."""

    def loss(trial: optuna.Trial) -> float:
        lr = trial.suggest_float("lr", 1e-3, 10, log=True)
        trial.suggest_categorical("activation", ["relu", "tanh"])
        if trial.number == 1:
            raise ValueError("out of memory")
        value = best + (lr - 0.1) ** 2
        for step in (10, 20):
            trial.report(value + 1 / step, step)
        if trial.number == 2:
            raise optuna.TrialPruned
        return value

    return loss


def tuned(storage: Any, studies: int = 3, confirmed: bool = True) -> list[optuna.Study]:
    made = []
    for label, best in (("sgd", 1.0), ("adam", 0.5)):
        for number in range(studies):
            sampler = optuna.samplers.RandomSampler(seed=number)
            study = optuna.create_study(storage=storage, sampler=sampler, study_name=f"{label}-{number}")
            study.optimize(objective(best + number / 100), n_trials=TRIALS, catch=(ValueError,))
            if confirmed:
                study.set_user_attr("test", [best + number / 100 + seed / 1000 for seed in range(2)])
            made.append(study)
    return made


def outcomes(store: Path, race: str) -> list[Outcome]:
    with open_store(store) as opened:
        return opened.outcomes(race)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "races.db"


def test_studies_and_what_confirmed_them(store: Path) -> None:
    studies = tuned(None)
    found = import_runs(studies, metric="loss", store=store)
    assert {row["label"]: row["place"] for row in found.standings} == {"adam": 1, "sgd": 2}
    assert found.to_json()["imported"]["paired"] is False  # a list does not say which seeds they were
    trials = outcomes(store, found.id)
    tuning = [o for o in trials if o.stage is Stage.TUNING and o.contender == "adam" and o.study == 0]
    assert [o.status for o in sorted(tuning, key=lambda o: o.point)] == [
        Status.FINISHED,
        Status.FAILED,
        Status.DROPPED,
        Status.FINISHED,
        Status.FINISHED,
    ]
    theirs = next(study for study in studies if study.study_name == "adam-0").trials
    for mine in tuning:
        trial = theirs[mine.point]
        assert mine.configuration == {"lr": trial.params["lr"]}
        if mine.status is Status.FINISHED:
            assert mine.validation == trial.value
            assert mine.curve.step == [10, 20]
            assert mine.curve.validation == [trial.intermediate_values[10], trial.value]
        if mine.status is Status.DROPPED:
            assert mine.validation == trial.intermediate_values[20]
    confirmed = [o for o in trials if o.stage is Stage.CONFIRMATION and o.contender == "adam" and o.study == 2]
    assert sorted(o.test or 0 for o in confirmed) == [0.52, 0.521]
    best = next(study for study in studies if study.study_name == "adam-2").best_params
    assert confirmed[0].configuration == {"lr": best["lr"]}
    assert any("Parameters that are no numbers were not kept: activation." in warning for warning in found.warnings)
    assert any("trials failed" in warning for warning in found.warnings)


def test_seeds_by_name_make_pairs(store: Path) -> None:
    studies = tuned(None, confirmed=False)
    for study in studies:
        offset = 0.5 if study.study_name.startswith("adam") else 1.0
        study.set_user_attr("test", {"7": offset, "8": offset + 0.001 * int(study.study_name[-1])})
    found = import_runs(studies, metric="loss", store=store)
    assert found.to_json()["imported"]["paired"] is True
    assert found.pairs[0]["reason"].startswith("The difference is the same in all 3 studies")


def test_attributes_of_the_best_trial_win_and_names_can_be_said(store: Path) -> None:
    study = optuna.create_study(study_name="whatever")
    study.optimize(objective(1.0), n_trials=TRIALS, catch=(ValueError,))
    study.set_user_attr("contender", "mine")
    study.set_user_attr("study", 4)
    study.set_user_attr("optimizer", "adam")
    study.set_user_attr("test", 9.0)
    copy = optuna.create_study(study_name="copy")
    for trial in study.trials:
        trial.user_attrs = {"test": [0.25, None]} if trial.number == study.best_trial.number else {}
        copy.add_trial(trial)
    for name, value in study.user_attrs.items():
        copy.set_user_attr(name, value)
    found = import_runs(copy, metric="loss", store=store)
    (row,) = found.standings
    assert (row["label"], row["optimizer"], row["diverged"]) == ("mine", "adam", 1)
    assert row["test"]["values"] == [[0.25, 0.25]]  # what diverged counts as the worst of the race


@pytest.mark.parametrize("kind", ["sqlite", "file", "journal"])
def test_storages(store: Path, tmp_path: Path, kind: str) -> None:
    if kind == "journal":
        path = tmp_path / "studies.log"
        tuned(JournalStorage(JournalFileBackend(str(path))))
        source = str(path)
    else:
        path = tmp_path / "studies.db"
        tuned(f"sqlite:///{path}")
        source = f"sqlite:///{path}" if kind == "sqlite" else str(path)
    done = CliRunner().invoke(cli.app, ["import", source, "--metric", "loss", "--store", str(store)])
    assert done.exit_code == 0, done.exception
    assert "Use adam: it scored best on " in done.stdout
    assert "Welch's t statistic" in done.stdout


def test_best_values_of_studies_without_confirmation(store: Path) -> None:
    studies = tuned(None, confirmed=False)
    with pytest.raises(SpecError, match="'sgd' has no confirmation run"):
        import_runs(studies, metric="loss", store=store)
    found = import_runs(studies, metric="loss", scored="best", store=store)
    wanted = [study.best_value for study in studies if study.study_name.startswith("adam")]
    row = next(row for row in found.standings if row["label"] == "adam")
    assert row["test"]["values"] == [[value] for value in wanted]


def test_the_optimizer_as_a_parameter(store: Path) -> None:
    studies = []
    for number in range(3):
        study = optuna.create_study(study_name=f"all-{number}", sampler=optuna.samplers.RandomSampler(seed=number))

        def loss(trial: optuna.Trial) -> float:
            kind = trial.suggest_categorical("optimizer", ["sgd", "adam"])
            return trial.suggest_float("lr", 0, 1) + (kind == "sgd")

        study.optimize(loss, n_trials=12)
        studies.append(study)
    found = import_runs(studies, metric="loss", by="optimizer", scored="best", store=store)
    assert {row["label"] for row in found.standings} == {"sgd", "adam"}
    assert found.to_json()["imported"]["studies"] == {"sgd": 3, "adam": 3}
    assert any("Each study chose 'optimizer' itself" in warning for warning in found.warnings)
    with pytest.raises(SpecError, match=r"has no parameter 'optim'\. It has: optimizer, lr"):
        import_runs(studies, metric="loss", by="optim", store=store)


def test_what_is_refused(store: Path, tmp_path: Path) -> None:
    empty, other = tmp_path / "empty.db", tmp_path / "other.db"
    optuna.storages.RDBStorage(f"sqlite:///{empty}")
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE t (a)")
    connection.close()
    before = other.read_bytes()
    two = optuna.create_study(directions=["minimize", "minimize"])
    up, down = optuna.create_study(direction="maximize"), optuna.create_study()
    given = optuna.create_study()
    given.optimize(lambda trial: trial.suggest_float("lr", 0, 1), n_trials=1)
    given.set_user_attr("test", "good")
    for source, said in (
        (str(tmp_path / "no.db"), "There is no file '"),
        (f"sqlite:///{tmp_path / 'no.db'}", "There is no file '"),
        (str(empty), "holds no studies"),
        (str(other), "cannot be read as a storage of Optuna's"),
        ("nosuch://me:secret@host/x", "'nosuch://...@host/x' cannot be read as a storage of Optuna's"),
        (two, "has 2 objectives; a race is judged by one metric"),
        ([up, down], "Some studies minimize and others maximize"),
        (given, "must hold numbers, but holds 'good'"),
        (down, "There are no runs to import."),
    ):
        with pytest.raises(SpecError) as raised:
            import_runs(source, metric="loss", store=store)
        assert said in str(raised.value)
        assert "secret" not in str(raised.value)
    assert other.read_bytes() == before
    assert not (tmp_path / "no.db").exists()
    with pytest.raises(SpecError, match="but the studies were tuned for 'min'"):
        import_runs(tuned(None), metric="loss", direction="max", store=store)
    with pytest.raises(SpecError, match="Columns can be named of a table"):
        import_runs(given, columns={"test": "x"}, store=store)
    assert not store.exists()


def test_without_optuna(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(SpecError, match="Studies of Optuna need optuna, which is not installed: pip install optuna"):
        import_runs("sqlite:///studies.db", metric="loss", store=store)


def test_the_page_tunes_and_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The block of Python on the page of imports runs as it stands; and the command it names does the same."""
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADRACE_STORE", str(tmp_path / "races.db"))
    exec(compile(block, "import.md", "exec"), {})
    printed = capsys.readouterr().out
    assert re.search(r"adam|sgd", printed)
    done = CliRunner().invoke(cli.app, ["import", "studies.db", "--metric", "loss", "--name", "Optuna"])
    assert done.exit_code == 0, done.exception
    assert printed.split()[0] in done.stdout
