"""What a race says of itself, in a file beside its store. The package only logs; the command line alone writes."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Annotated

import typer

from gradrace.errors import GradraceError, Interrupted, named

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "off": 100}
MOST_BYTES, OLD_FILES = 1_000_000, 3
"""The size at which a file makes room for a new one, and how many old ones are kept."""

LogLevelOption = Annotated[
    str, typer.Option(help="Of the file beside the store: debug, info, warning, error, or off for no file.")
]
LogJsonOption = Annotated[bool, typer.Option("--log-json", help="Write that file as lines of JSON.")]

_COMMON = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


def log_path(store: Path, as_json: bool) -> Path:
    """The file beside a store: text and JSON do not share one."""
    return store.with_name(f"{store.name}.{'jsonl' if as_json else 'log'}")


@contextmanager
def log_beside(store: Path, level: str, as_json: bool) -> Iterator[None]:
    """Have what the package logs in this context written beside the store, and how it ended.

    Raises:
        SpecError: there is no such level.
    """
    threshold = named("log level", level, LEVELS)
    if level == "off":
        yield
        return
    logger, handler = logging.getLogger("gradrace"), _Beside(store, as_json)
    before = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(threshold)
    logger.propagate = False
    try:
        yield
    except Interrupted as stopped:
        logger.info("%s", stopped)
        raise
    except GradraceError as error:
        logger.error("%s", error)
        raise
    except Exception:
        logger.exception("gradrace met an error that it did not expect.")
        raise
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before[0])
        logger.propagate = before[1]
        handler.close()


class _Beside(RotatingFileHandler):
    """Writes once the store is there: a race that cannot start leaves no file. A file that fails stops no race."""

    def __init__(self, store: Path, as_json: bool) -> None:
        super().__init__(
            log_path(store, as_json), maxBytes=MOST_BYTES, backupCount=OLD_FILES, encoding="utf-8",
            errors="backslashreplace", delay=True,
        )  # fmt: skip
        self.setFormatter(_Lines() if as_json else _Text())
        self._store = store
        self._early: list[logging.LogRecord] = []
        self._failed = False

    def emit(self, record: logging.LogRecord) -> None:
        self._early.append(record)
        if self._failed or not self._store.is_file():
            return
        records, self._early = self._early, []
        for known in records:
            super().emit(known)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        if not self._failed:
            print(
                f"The log {self.baseFilename} cannot be written ({sys.exc_info()[1]}); the race goes on.",
                file=sys.stderr,
            )
        self._failed = True


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Text(logging.Formatter):
    """One line for each record: a label with a line break in it must not look like two."""

    def format(self, record: logging.LogRecord) -> str:
        said = record.getMessage() + (f"\n{self.formatException(record.exc_info)}" if record.exc_info else "")
        return f"{_time(record)} {record.levelname:7} {said}".replace("\r", "\\r").replace("\n", "\\n")


class _Lines(logging.Formatter):
    """One JSON object on each line: time, level, logger, message, and what the record carries beside."""

    def format(self, record: logging.LogRecord) -> str:
        said = {"time": _time(record), "level": record.levelname.lower(), "logger": record.name}
        beside = {name: value for name, value in record.__dict__.items() if name not in _COMMON}
        error = {"traceback": self.formatException(record.exc_info)} if record.exc_info else {}
        return json.dumps({**said, "message": record.getMessage(), **beside, **error}, default=str, ensure_ascii=False)
