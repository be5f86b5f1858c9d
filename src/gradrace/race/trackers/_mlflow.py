"""A race as an experiment of MLflow: one run with the verdict, and in it a nested run for each trial.

Runs are known by tags with the ids of race and trial: logging twice adds what is missing and no more. A run that was
left half written, which MLflow still calls running, is deleted and written again.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.exceptions import MlflowException

from gradrace.errors import SpecError
from gradrace.outcomes import Outcome, Status
from gradrace.race.exporting import ALL, check_folder, draw_files, picture_files, write_all
from gradrace.race.trackers import Logged, not_installed, title_of
from gradrace.report import markdown

DATABASE, ARTIFACTS = "mlflow.db", "mlartifacts"
"""What a folder gets: the names that MLflow's own server takes."""
AT_A_TIME = 1000
"""Metrics in one request; MLflow takes no more."""
LONGEST_NOTE = 5000
"""Characters of a tag that every store of MLflow holds."""

RACE, TRIAL = "gradrace.race", "gradrace.trial"
_ENDED = {Status.FINISHED: "FINISHED", Status.DROPPED: "FINISHED", Status.INTERRUPTED: "KILLED"}


def log(logged: Logged, where: str | None) -> str:
    """Log a race to MLflow at ``where``, a folder or a tracking URI; see ``gradrace.race.trackers.log_to``."""
    uri, artifacts = _place(where)
    with _sentences(uri):
        client = MlflowClient(uri)
        experiment = _experiment(client, logged.name, artifacts)
        there = _runs(client, experiment, logged.record.id)
        parent = _parent(client, experiment, logged, there.get(""))
        fresh = 0
        for outcome in logged.outcomes:
            run = there.get(outcome.trial)
            if run is not None and run.info.status == "RUNNING":
                client.delete_run(run.info.run_id)
                run = None
            if run is None:
                _trial(client, experiment, parent, outcome, logged)
                fresh += 1
        _result(client, parent, logged)
    at = "" if uri is None else f" --backend-store-uri {_shown(uri)}"
    return (
        f"Experiment '{logged.name}': {len(logged.outcomes)} trials, {fresh} of them new. See them with: mlflow ui{at}"
    )


def _shown(uri: str) -> str:
    """A URI without what it may hold to log in."""
    return re.sub(r"(?<=://)[^/@]*@", "...@", uri)


def _place(where: str | None) -> tuple[str | None, str | None]:
    """The tracking URI, and where artifacts go; None leaves either to MLflow."""
    if where is None or "://" in where or where.startswith(("databricks", "uc:")):
        return where, None
    path = Path(where)
    database = path if path.suffix == ".db" else path / DATABASE
    check_folder(database.parent)
    database.parent.mkdir(exist_ok=True)
    return f"sqlite:///{database.resolve().as_posix()}", (database.resolve().parent / ARTIFACTS).as_uri()


@contextmanager
def _sentences(uri: str | None) -> Iterator[None]:
    """What MLflow raises becomes a sentence; what it warns of in its own code is not for our users to mend."""
    try:
        with warnings.catch_warnings():
            for kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
                warnings.simplefilter("ignore", kind)
            yield
    except ImportError as error:  # of the database, which mlflow-skinny does not bring along
        raise not_installed("mlflow", error) from None
    except (MlflowException, OSError) as error:
        place = "its tracking server" if uri is None else f"'{_shown(uri)}'"
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise SpecError(f"MLflow cannot log to {place}: {lines[0]}") from error


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:
        place = None if artifacts is None else f"{artifacts}/{name.rpartition(' ')[2]}"
        return client.create_experiment(name, artifact_location=place)
    if found.lifecycle_stage != "active":
        raise SpecError(
            f"The experiment '{name}' was deleted in MLflow, which keeps its name. Restore it, or delete it for good "
            "with: mlflow gc"
        )
    return found.experiment_id


def _runs(client: MlflowClient, experiment: str, race: str) -> dict[str, Run]:
    """The race's runs that are there, by the id of the trial; that of the race itself under no name."""
    found, token = {}, None
    while True:
        some = client.search_runs([experiment], f"tags.`{RACE}` = '{race}'", max_results=AT_A_TIME, page_token=token)
        found |= {run.data.tags.get(TRIAL, ""): run for run in some}
        token = some.token
        if not token:
            return found


def _parent(client: MlflowClient, experiment: str, logged: Logged, there: Run | None) -> str:
    if there is not None:
        return there.info.run_id
    began = _milliseconds(logged)
    run = client.create_run(experiment, began, {RACE: logged.record.id}, run_name=logged.name)
    plan, workload = logged.summary["plan"], logged.summary["workload"]
    names = ("studies", "trials", "seeds", "steps", "halving", "schedule", "seed", "engine")
    known = {"workload": workload["name"], "metric": workload["metric"], "gradrace": logged.record.version}
    known |= {name: plan[name] for name in names if name in plan}
    client.log_batch(run.info.run_id, params=_params(known))
    return run.info.run_id


def _result(client: MlflowClient, run: str, logged: Logged) -> None:
    """The verdict, which a race that was logged before it ended does not have yet: it replaces what is there."""
    summary, said = logged.summary, logged.summary["recommendation"]
    page = markdown.render(summary)
    tags = {"gradrace.verdict": said["sentence"], "gradrace.code": said["code"] or "", "mlflow.note.content": page}
    began = _milliseconds(logged)
    metrics = [
        Metric(_key(f"test_{logged.metric} of {row['label']}"), row["test"]["mean"], began, 0)
        for row in summary["standings"]
    ]
    for start in range(0, max(1, len(metrics)), AT_A_TIME):
        client.log_batch(run, metrics[start : start + AT_A_TIME])
    client.log_batch(run, tags=[RunTag(name, text[:LONGEST_NOTE]) for name, text in tags.items()])
    client.log_text(run, json.dumps(summary, indent=1, allow_nan=False), "summary.json")
    client.log_text(run, page, "report.md")
    _pictures(client, run, logged)
    ended = {"finished": "FINISHED", "interrupted": "KILLED"}.get(logged.record.status)
    if ended is not None:
        client.set_terminated(run, ended, began + round(1000 * (summary["cost"]["seconds"] or 0)))


def _pictures(client: MlflowClient, run: str, logged: Logged) -> None:
    """Every picture that the race has something of, where matplotlib is installed."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "pictures"
        try:
            files = picture_files(ALL, folder, None, "en", "light", force=False)
            drawn, _ = draw_files(logged.document, files, 150)
        except SpecError:
            return
        write_all(drawn)
        client.log_artifacts(run, str(folder), "pictures")


def _trial(client: MlflowClient, experiment: str, parent: str, outcome: Outcome, logged: Logged) -> None:
    began = _milliseconds(logged)
    tags = {
        RACE: logged.record.id,
        TRIAL: outcome.trial,
        "mlflow.parentRunId": parent,
        "gradrace.status": outcome.status.value,
    }
    if outcome.error is not None:
        tags["gradrace.error"] = outcome.error[:LONGEST_NOTE]
    if outcome.diverged_at is not None:
        tags["gradrace.diverged_at"] = str(outcome.diverged_at)
    title = f"{outcome.contender}, {title_of(outcome)}"
    run = client.create_run(experiment, began, tags, run_name=title).info.run_id
    metrics = list(_metrics(outcome, logged.metric, began))
    known = {"contender": outcome.contender, "stage": outcome.stage.value, "study": outcome.study, "seed": outcome.seed}
    client.log_batch(run, metrics[:AT_A_TIME], _params({**known, "point": outcome.point, **outcome.configuration}))
    for start in range(AT_A_TIME, len(metrics), AT_A_TIME):
        client.log_batch(run, metrics[start : start + AT_A_TIME])
    client.set_terminated(run, _ENDED.get(outcome.status, "FAILED"), began + round(1000 * outcome.seconds))


def _metrics(outcome: Outcome, metric: str, began: int) -> Iterator[Metric]:
    """The points of a trial's curve and what it ended with. A value that is not finite is NaN."""
    curve, named = outcome.curve, f"validation_{metric}"

    def at(name: str, value: float | None, step: int) -> Metric:
        moment = began + round(1000 * outcome.seconds * step / max(1, outcome.steps))
        return Metric(_key(name), math.nan if value is None else value, moment, step)

    for place, step in enumerate(curve.step):
        yield at("train_loss", curve.train_loss[place], step)
        yield at(named, curve.validation[place], step)
        yield at("validation_loss", curve.validation_loss[place], step)
    ends: dict[str, float | None] = {f"test_{metric}": outcome.test, "test_loss": outcome.test_loss}
    if not curve.step:
        ends |= {named: outcome.validation, "validation_loss": outcome.validation_loss}
    ends |= {f"test_{name}": value for name, value in outcome.others.items()}
    for name, value in {**ends, "steps": outcome.steps, "seconds": outcome.seconds}.items():
        if value is not None:
            yield at(name, value, outcome.steps)


def _params(values: Mapping[str, Any]) -> list[Param]:
    return [Param(_key(name), str(value)) for name, value in values.items()]


def _key(name: str) -> str:
    """A name of which MLflow takes every character. One with a slash it takes for a path, in which ``..`` goes up."""
    return re.sub(r"[^\w. -]", "_", name)


def _milliseconds(logged: Logged) -> int:
    """When the race was entered; the clock of a trial is not stored."""
    return round(1000 * datetime.fromisoformat(logged.record.created).timestamp())
