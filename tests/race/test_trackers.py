"""Races in TensorBoard and MLflow, read back by those programs' own readers; logged twice; refused where they must."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2
from typer.testing import CliRunner

import gradrace
from gradrace import RaceResult, cli
from gradrace.errors import SpecError
from gradrace.outcomes import Curve, Outcome, Stage, Status
from gradrace.race import api, orchestrator
from gradrace.race.trackers._mlflow import _shown
from gradrace.store import open_store
from inline_lanes import InlineLanes

# The classes of these modules are made while they are imported, where no type checker sees them.
STATUSES: Any = api_pb2
SESSIONS: Any = plugin_data_pb2
LABEL = "../a: ümläut"


class Raced(NamedTuple):
    """A small race in a store of its own, of which one trial diverged and another failed."""

    result: RaceResult
    store: Path
    outcomes: dict[str, Outcome]


@pytest.fixture(scope="module")
def raced(tmp_path_factory: pytest.TempPathFactory) -> Raced:
    folder = tmp_path_factory.mktemp("races")
    contenders = [gradrace.Contender("sgd", LABEL), "momentum"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(orchestrator, "Lanes", InlineLanes)
        trained = gradrace.race(
            "linear", contenders, studies=3, trials=4, seeds=2, steps=40, store=folder / "trained.db"
        )
    with open_store(folder / "trained.db") as old, open_store(folder / "races.db") as new:
        record = old.race(trained.id)
        outcomes = [_broken(outcome) for outcome in old.outcomes(record.id)]
        new.create_race(record.id, record.spec, record.plan, record.machine, record.version)
        new.write_block(record.id, "all", outcomes)
        for key, note in old.notes(record.id).items():
            new.write_note(record.id, key, note)
        new.set_status(record.id, "finished")
    result = RaceResult(trained.to_json(), folder / "races.db")
    return Raced(result, folder / "races.db", {outcome.trial: outcome for outcome in outcomes})


def _broken(outcome: Outcome) -> Outcome:
    nothing: dict[str, Any] = {"validation": None, "validation_loss": None, "test": None, "test_loss": None}
    if outcome.trial == "tuning/momentum/0001/0000/0000":
        curve = Curve([2, 4], [1.0, None], [0.5, None], [1.5, None])
        return replace(outcome, status=Status.DIVERGED, diverged_at=4, steps=4, curve=curve, **nothing)
    if outcome.trial == "tuning/momentum/0001/0000/0001":
        return replace(outcome, status=Status.FAILED, error="Boom.", steps=0, curve=Curve(), **nothing)
    return outcome


class TestTensorBoard:
    @pytest.fixture
    def logged(self, raced: Raced, tmp_path: Path) -> Path:
        folder = tmp_path / "runs"
        said = raced.result.log_to("tensorboard", folder)
        root = folder / f"linear-{raced.result.id}"
        runs = len(raced.outcomes) + 1
        assert said == f"{root}: {runs} runs. Look at them with: tensorboard --logdir {folder}"
        assert len(list(root.rglob("events.out.tfevents.*"))) == runs
        return root

    def test_curves_are_there_to_the_last_point(self, raced: Raced, logged: Path) -> None:
        for outcome in raced.outcomes.values():
            if outcome.stage is not Stage.CONFIRMATION or outcome.contender != "momentum":
                continue
            read = _read(logged / f"confirmation/momentum/study-{outcome.study}/seed-{outcome.seed}")
            series = {
                "train/loss": outcome.curve.train_loss,
                "validation/mse": outcome.curve.validation,
                "validation/loss": outcome.curve.validation_loss,
            }
            for tag, values in series.items():
                points = read.Scalars(tag)
                assert [point.step for point in points] == outcome.curve.step
                assert [point.value for point in points] == pytest.approx(values)
                assert [point.wall_time for point in points] == sorted(point.wall_time for point in points)
            assert [(point.step, point.value) for point in read.Scalars("test/mse")] == [
                (outcome.steps, pytest.approx(outcome.test))
            ]

    def test_every_tuning_trial_is_a_session_with_its_configuration(self, raced: Raced, logged: Path) -> None:
        configurations = set()
        for outcome in raced.outcomes.values():
            if outcome.stage is Stage.CONFIRMATION:
                continue
            label = "momentum" if outcome.contender == "momentum" else "%2E.%2Fa%3A ümläut"
            read = _read(logged / f"{outcome.stage.value}/{label}/study-{outcome.study}/trial-{outcome.point}")
            found = _hparams(read)
            known = dict(found["_hparams_/session_start_info"].session_start_info.hparams)
            assert known.pop("contender").string_value == outcome.contender
            assert known.pop("stage").string_value == outcome.stage.value
            assert {name: value.number_value for name, value in known.items()} == outcome.configuration
            ended = STATUSES.Status.Name(found["_hparams_/session_end_info"].session_end_info.status)
            broken = outcome.status in (Status.DIVERGED, Status.FAILED)
            assert ended == ("STATUS_FAILURE" if broken else "STATUS_SUCCESS")
            if not broken:
                assert read.Scalars("validation/mse")[-1].value == pytest.approx(outcome.validation)
            assert read.Scalars("steps")[0].value == outcome.steps
            configurations.add(found["_hparams_/session_start_info"].session_start_info.group_name)
        assert len(configurations) == sum(o.stage is not Stage.CONFIRMATION for o in raced.outcomes.values())

    def test_what_is_not_finite_is_shown_as_such(self, raced: Raced, logged: Path) -> None:
        read = _read(logged / "tuning/momentum/study-1/trial-0")
        assert [math.isnan(point.value) for point in read.Scalars("validation/mse")] == [False, True]
        failed = _read(logged / "tuning/momentum/study-1/trial-1")
        assert failed.Tags()["scalars"] == ["steps"]

    def test_the_verdict_is_a_text(self, raced: Raced, logged: Path) -> None:
        read = _read(logged / "verdict")
        (event,) = read.Tensors("verdict/text_summary")
        (text,) = event.tensor_proto.string_val
        assert raced.result.recommendation["sentence"].split()[0] in text.decode()

    def test_logging_twice_leaves_the_same_files(self, raced: Raced, logged: Path) -> None:
        before = {path: path.read_bytes() for path in logged.rglob("*") if path.is_file()}
        raced.result.log_to("tensorboard", logged.parent)
        assert {path: path.read_bytes() for path in logged.rglob("*") if path.is_file()} == before

    def test_a_folder_that_cannot_be_written_to(self, raced: Raced, tmp_path: Path) -> None:
        with pytest.raises(SpecError, match="Nothing can be written to the folder"):
            raced.result.log_to("tensorboard", tmp_path / "no" / "runs")
        (tmp_path / "file").write_text("x", encoding="utf-8")
        with pytest.raises(SpecError, match="Nothing can be written to the folder"):
            raced.result.log_to("tensorboard", tmp_path / "file")


def _begun(raced: Raced, store: Path, finish: bool) -> RaceResult:
    """The race in another store, of which the tuning has ended, and then all."""
    with open_store(raced.store) as old, open_store(store) as new:
        record = old.race(raced.result.id)
        new.create_race(record.id, record.spec, record.plan, record.machine, record.version)
        for stage in (Stage.TUNING, *((Stage.EDGE, Stage.CONFIRMATION) if finish else ())):
            new.write_block(record.id, stage.value, [o for o in raced.outcomes.values() if o.stage is stage])
        if finish:
            new.write_note(record.id, "choices", old.notes(record.id)["choices"])
        new.set_status(record.id, "finished" if finish else "interrupted")
        return api.result_of(new, record.id)


def test_a_race_that_was_logged_before_it_ended_is_completed(raced: Raced, tmp_path: Path) -> None:
    for finish in (False, True):
        found = RaceResult(_begun(raced, tmp_path / "races.db", finish).to_json(), tmp_path / "races.db")
        found.log_to("tensorboard", tmp_path / "runs")
        root = tmp_path / "runs" / f"linear-{found.id}"
        assert (root / "confirmation").exists() == finish
        (event,) = _read(root / "verdict").Tensors("verdict/text_summary")
        (text,) = event.tensor_proto.string_val
        assert (b"The race was stopped" in text) != finish


def test_runs_that_were_imported_are_logged(tmp_path: Path) -> None:
    rows = [{"contender": label, "study": k, "accuracy": k / 10, "lr": 0.1} for label in "ab" for k in range(3)]
    found = gradrace.import_runs(rows, metric="accuracy", store=tmp_path / "races.db")
    assert "7 runs." in found.log_to("tensorboard", tmp_path / "runs")
    read = _read(tmp_path / "runs" / f"a table-{found.id}".replace(" ", "-") / "confirmation/a/study-2/seed-1")
    assert [point.value for point in read.Scalars("test/accuracy")] == [pytest.approx(0.2)]


def _read(run: Path) -> EventAccumulator:
    read = EventAccumulator(str(run), size_guidance={"scalars": 0, "tensors": 0})
    read.Reload()
    return read


def _hparams(read: EventAccumulator) -> dict[str, Any]:
    content = read.summary_metadata
    return {
        tag: SESSIONS.HParamsPluginData.FromString(known.plugin_data.content)
        for tag, known in content.items()
        if known.plugin_data.plugin_name == "hparams"
    }


@pytest.fixture(scope="module")
def in_mlflow(raced: Raced, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        said = raced.result.log_to("mlflow", folder)
    from mlflow import MlflowClient

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    count = len(raced.outcomes)
    assert said == (
        f"Experiment 'linear {raced.result.id}': {count} trials, {count} of them new. See them with: mlflow ui "
        f"--backend-store-uri {uri}"
    )
    return MlflowClient(uri), folder


@pytest.mark.slow
class TestMlflow:
    @pytest.fixture(autouse=True)
    def at_home(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        monkeypatch.chdir(tmp_path)

    def test_a_nested_run_for_each_trial(self, raced: Raced, in_mlflow: Any) -> None:
        client, _ = in_mlflow
        parent, children = _runs(client, raced.result.id)
        assert set(children) == set(raced.outcomes)
        for trial, run in children.items():
            outcome = raced.outcomes[trial]
            assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
            params = {name: float(run.data.params[name]) for name in outcome.configuration}
            assert params == outcome.configuration
            assert run.data.params["contender"] == outcome.contender
            assert run.data.metrics.get("test_mse") == outcome.test
            broken = outcome.status in (Status.DIVERGED, Status.FAILED)
            assert run.info.status == ("FAILED" if broken else "FINISHED")
        kept = next(o for o in raced.outcomes.values() if o.stage is Stage.CONFIRMATION)
        history = client.get_metric_history(children[kept.trial].info.run_id, "validation_mse")
        assert [(known.step, known.value) for known in history] == list(
            zip(kept.curve.step, kept.curve.validation, strict=True)
        )
        diverged = children["tuning/momentum/0001/0000/0000"]
        assert math.isnan(diverged.data.metrics["validation_mse"])
        assert diverged.data.tags["gradrace.diverged_at"] == "4"
        failed = children["tuning/momentum/0001/0000/0001"]
        assert failed.data.tags["gradrace.error"] == "Boom."

    def test_the_verdict_its_summary_and_pictures(self, raced: Raced, in_mlflow: Any) -> None:
        client, folder = in_mlflow
        parent, _ = _runs(client, raced.result.id)
        assert parent.info.status == "FINISHED"
        assert parent.data.tags["mlflow.note.content"].startswith("# linear: race ")
        assert parent.data.params["studies"] == "3"
        assert set(parent.data.metrics) == {"test_mse of momentum", "test_mse of .._a_ ümläut"}
        names = {file.path for file in client.list_artifacts(parent.info.run_id)}
        assert names == {"summary.json", "report.md", "pictures"}
        pictures = {file.path for file in client.list_artifacts(parent.info.run_id, "pictures")}
        assert "pictures/standings.png" in pictures
        assert list((folder / "mlartifacts").rglob("summary.json"))

    def test_logging_twice_adds_nothing_and_mends_what_was_half_written(self, raced: Raced, in_mlflow: Any) -> None:
        client, folder = in_mlflow
        parent, before = _runs(client, raced.result.id)
        assert "0 of them new" in raced.result.log_to("mlflow", folder)
        half, gone = sorted(before)[0], sorted(before)[1]
        client.update_run(before[half].info.run_id, "RUNNING")
        client.delete_run(before[gone].info.run_id)
        assert "2 of them new" in raced.result.log_to("mlflow", folder)
        again, after = _runs(client, raced.result.id)
        assert again.info.run_id == parent.info.run_id
        assert set(after) == set(before)
        changed = {trial for trial in after if after[trial].info.run_id != before[trial].info.run_id}
        assert changed == {half, gone}

    def test_a_race_that_was_logged_before_it_ended_is_completed(self, raced: Raced, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        client, tuning = None, sum(o.stage is Stage.TUNING for o in raced.outcomes.values())
        for finish, count, status in ((False, tuning, "KILLED"), (True, len(raced.outcomes), "FINISHED")):
            found = RaceResult(_begun(raced, tmp_path / "races.db", finish).to_json(), tmp_path / "races.db")
            found.log_to("mlflow", tmp_path / "runs.db")
            client = client or MlflowClient(f"sqlite:///{tmp_path / 'runs.db'}")
            parent, children = _runs(client, found.id)
            assert len(children) == count
            assert parent.info.status == status
            assert ("The race was stopped" in parent.data.tags["gradrace.verdict"]) != finish

    def test_an_experiment_that_was_deleted(self, raced: Raced, tmp_path: Path) -> None:
        from mlflow import MlflowClient

        raced.result.log_to("mlflow", tmp_path / "here.db")
        client = MlflowClient(f"sqlite:///{tmp_path / 'here.db'}")
        (found,) = client.search_experiments(filter_string=f"name = 'linear {raced.result.id}'")
        client.delete_experiment(found.experiment_id)
        with pytest.raises(SpecError, match="was deleted in MLflow, which keeps its name"):
            raced.result.log_to("mlflow", tmp_path / "here.db")


def _runs(client: Any, race: str) -> tuple[Any, dict[str, Any]]:
    (experiment,) = [known for known in client.search_experiments() if known.name.endswith(race)]
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "gradrace.trial" not in run.data.tags]
    return parent, {run.data.tags["gradrace.trial"]: run for run in runs if run is not parent}


class TestRefused:
    def test_a_tracker_that_there_is_not(self, raced: Raced) -> None:
        with pytest.raises(SpecError, match=r"no tracker 'tensorbord'\. Did you mean 'tensorboard'"):
            raced.result.log_to("tensorbord")

    @pytest.mark.parametrize("target", ["tensorboard", "mlflow"])
    def test_one_that_is_not_installed(self, raced: Raced, target: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in [known for known in sys.modules if known.split(".")[0] == target]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.delitem(sys.modules, f"gradrace.race.trackers._{target}", raising=False)
        monkeypatch.setitem(sys.modules, target, None)
        with pytest.raises(SpecError, match=rf"needs {target}\S*, which is not installed: pip install 'gradrace\["):
            raced.result.log_to(target)

    def test_a_result_without_a_store(self, raced: Raced) -> None:
        with pytest.raises(SpecError, match="so its trials are not known and nothing can be logged"):
            RaceResult(raced.result.to_json()).log_to("tensorboard")

    def test_what_is_said_of_a_uri_holds_no_password(self) -> None:
        assert _shown("postgresql://me:secret@host/runs") == "postgresql://...@host/runs"
        assert _shown("sqlite:////tmp/a@b.db") == "sqlite:////tmp/a@b.db"


class TestCommand:
    def test_export_logs(self, raced: Raced, tmp_path: Path) -> None:
        where = ("export", raced.result.id, "--store", str(raced.store))
        done = CliRunner().invoke(cli.app, [*where, "--to", "tensorboard", "--into", str(tmp_path / "runs")])
        assert done.exit_code == 0, done.exception
        assert "Look at them with: tensorboard --logdir" in done.stdout
        for words, said in (
            (("--into", "x"), "--into x says where to log, but not to what"),
            (("--to", "tensorboard", "-o", "a.csv", "--curves", "b.csv"), "-o and --curves writes tables"),
            (("--to", "wandb"), "There is no tracker 'wandb'."),
        ):
            error = CliRunner().invoke(cli.app, [*where, *words]).exception
            assert said in str(error)
