"""A race as event files of TensorBoard: a run for each trial, and one for the verdict.

A file's name and content follow from the race alone, and each is written whole: logging twice leaves the same files.
PyTorch's own ``SummaryWriter`` would name files by the clock, and start a thread for each of a thousand trials.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2, summary_v2
from torch.utils.tensorboard import RecordWriter
from torch.utils.tensorboard.summary import text

from gradrace.errors import SpecError
from gradrace.outcomes import Outcome, Stage, Status
from gradrace.race.exporting import check_folder
from gradrace.race.reporting import write_whole
from gradrace.race.trackers import Logged
from gradrace.report import markdown

FOLDER = "runs"
"""Where PyTorch's writer puts its files, and people look for them."""

_UNSAFE = str.maketrans({character: f"%{ord(character):02X}" for character in '%/\\:*?"<>|'})

# The classes of these modules are made while they are imported, where no type checker sees them.
_events: Any = event_pb2
_summaries: Any = summary_pb2
_sessions: Any = plugin_data_pb2
_statuses: Any = api_pb2

_VERSION = _events.Event(file_version="brain.Event:2")
_ENDED = {Status.FINISHED: "STATUS_SUCCESS", Status.DROPPED: "STATUS_SUCCESS", Status.INTERRUPTED: "STATUS_UNKNOWN"}

Point = tuple[float, int, Sequence[Any]]
"""When, at which step, and what."""


def log(logged: Logged, where: str | None) -> str:
    """Write the event files of a race into the folder ``where``; see ``gradrace.race.trackers.log_to``."""
    folder = Path(where or FOLDER)
    check_folder(folder)
    began = datetime.fromisoformat(logged.record.created).timestamp()
    name = f"events.out.tfevents.{int(began)}.gradrace"
    root = folder / safe(logged.name.replace(" ", "-"))
    files = {root / "verdict": _verdict(logged, began)}
    for outcome in logged.outcomes:
        files[root / _place(outcome)] = _trial(outcome, logged.metric, began)
    try:
        for run, points in files.items():
            run.mkdir(parents=True, exist_ok=True)
            write_whole(_encoded(points), run / name)
    except OSError as error:
        raise SpecError(f"Nothing can be written to the folder '{error.filename}': {error.strerror}.") from None
    return f"{root}: {len(files)} runs. Look at them with: tensorboard --logdir {folder}"


def safe(words: str) -> str:
    """Words as the name of a folder on every system.

    >>> safe("a/b: 50 %"), safe("..")
    ('a%2Fb%3A 50 %25', '%2E.')
    """
    named = words.translate(_UNSAFE)
    return f"%2E{named[1:]}" if named.startswith(".") else named


def _place(outcome: Outcome) -> Path:
    last = f"seed-{outcome.seed}" if outcome.stage is Stage.CONFIRMATION else f"trial-{outcome.point}"
    return Path(outcome.stage.value, safe(outcome.contender), f"study-{outcome.study}", last)


def _verdict(logged: Logged, began: float) -> list[Point]:
    """The tables of the race. TensorBoard finds out by itself which hyperparameters and metrics sessions have.

    To be told, it would take the word of one race for all that lie in a folder.
    """
    return [(began, 0, [text("verdict", markdown.render(logged.summary))])]


def _trial(outcome: Outcome, metric: str, began: float) -> list[Point]:
    """A trial's points. A value that is not finite is NaN there, which TensorBoard shows as such."""
    session = outcome.stage is not Stage.CONFIRMATION
    points: list[Point] = []
    if session:
        values = {"contender": outcome.contender, "stage": outcome.stage.value, **outcome.configuration}
        points.append((began, 0, [summary_v2.hparams_pb(values, trial_id=outcome.trial, start_time_secs=began)]))
    curve = outcome.curve
    for place, step in enumerate(curve.step):
        series = {
            "train/loss": curve.train_loss[place],
            f"validation/{metric}": curve.validation[place],
            "validation/loss": curve.validation_loss[place],
        }
        points.append((_moment(outcome, step, began), step, _scalars(series.items())))
    end = _moment(outcome, outcome.steps, began)
    ends = {"steps": outcome.steps, f"test/{metric}": outcome.test, "test/loss": outcome.test_loss}
    if not curve.step:
        ends |= {f"validation/{metric}": outcome.validation, "validation/loss": outcome.validation_loss}
    ends |= {f"test/{name}": value for name, value in outcome.others.items()}
    final = _scalars((tag, value) for tag, value in ends.items() if value is not None)
    points.append((end, outcome.steps, [*final, *([_session_end(outcome, end)] if session else [])]))
    return points


def _moment(outcome: Outcome, step: int, began: float) -> float:
    """When a step was done, as if the trial had begun with the race: its own clock is not stored."""
    return began + outcome.seconds * step / max(1, outcome.steps)


def _scalars(series: Iterable[tuple[str, float | None]]) -> list[Any]:
    return [
        _summaries.Summary(value=[_summaries.Summary.Value(tag=tag, simple_value=math.nan if value is None else value)])
        for tag, value in series
    ]


def _session_end(outcome: Outcome, moment: float) -> Any:
    status = _statuses.Status.Value(_ENDED.get(outcome.status, "STATUS_FAILURE"))
    ended = _sessions.SessionEndInfo(status=status, end_time_secs=moment)
    data = _sessions.HParamsPluginData(session_end_info=ended)
    kind = metadata.create_summary_metadata(data)
    value = _summaries.Summary.Value(tag=metadata.SESSION_END_INFO_TAG, metadata=kind, tensor=metadata.NULL_TENSOR)
    return _summaries.Summary(value=[value])


def _encoded(points: Iterable[Point]) -> bytes:
    file = io.BytesIO()
    records = RecordWriter(file)
    records.write(_VERSION.SerializeToString(deterministic=True))
    for moment, step, summaries in points:
        whole = _summaries.Summary(value=[value for summary in summaries for value in summary.value])
        records.write(_events.Event(wall_time=moment, step=step, summary=whole).SerializeToString(deterministic=True))
    return file.getvalue()
