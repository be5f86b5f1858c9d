"""The result of a race, as Python sees it: a view of the summary, which is also the JSON."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradrace.errors import GradraceError, SpecError
from gradrace.store import Store, open_store

if TYPE_CHECKING:
    from matplotlib.figure import Figure

IN_NOTEBOOKS = ("standings", "lr-sensitivity", "learning-curves")
"""Pictures that a notebook shows of a result by itself."""


class RaceResult:
    """What a race found.

    Attributes:
        id: the race's id in its store.
        standings: one dict for each contender, best first.
        pairs: one dict for each two contenders, with difference, interval and decision.
        recommendation: ``optimizer`` (a label) and ``code`` (a line of PyTorch), None where none is; ``sentence``.
        warnings: sentences.
    """

    def __init__(self, summary: Mapping[str, Any], store: Path | None = None) -> None:
        self._summary = copy.deepcopy(dict(summary))
        self._store = store
        self.id: str = self._summary["race"]["id"]
        self.standings: list[dict[str, Any]] = self._summary["standings"]
        self.pairs: list[dict[str, Any]] = self._summary["pairs"]
        self.recommendation: dict[str, Any] = self._summary["recommendation"]
        self.warnings: list[str] = self._summary["warnings"]

    def to_json(self) -> dict[str, Any]:
        """The whole summary as a dict of JSON types (schema 1); a copy."""
        return copy.deepcopy(self._summary)

    def save_html(self, path: str | Path, lang: str = "en") -> Path:
        """Write the race's page: one HTML file with every trial, which opens offline; a file that is there is replaced.

        Args:
            path: of the file; its folder must exist.
            lang: the language that it opens in, "en" or "ko".

        Returns:
            The path.

        Raises:
            SpecError: jinja2 or plotly is not installed (``gradrace[plots]``), there is no such language, or the file
                cannot be written. StoreError: the store does not hold the race any more.
        """
        from gradrace.race.reporting import check_page, page_of, write_whole
        from gradrace.report.page import page

        path = Path(path)
        with self._stored("no page can be drawn") as store:
            check_page(path)
            document = page_of(store, self.id)
        write_whole(page(document, lang), path)
        return path

    def plot(
        self,
        kind: str = "standings",
        *,
        lang: str = "en",
        width: float | None = None,
        height: float | None = None,
        style: str = "light",
    ) -> Figure:
        """A picture of the race as a matplotlib figure, which a notebook shows; ``gradrace plot`` writes its file.

        Args:
            kind: "standings", "pairs", "differences", "lr-sensitivity", "learning-curves", "budget",
                "probability-best", "steps-to-target", "rungs", "cost" or "luck".
            lang: language of its words, "en" or "ko".
            width: in inches; by default as the kind needs.
            height: in inches; by default as many as the race's contenders need.
            style: "light" or "dark".

        Raises:
            SpecError: matplotlib is not installed (``gradrace[plots]``); there is no such kind, language or style; or
                the race has nothing of this kind to show. StoreError: the store does not hold the race any more.
        """
        from gradrace.race.reporting import page_of
        from gradrace.report.pictures import draw

        with self._stored("nothing can be drawn") as store:
            document = page_of(store, self.id)
        return draw(document, kind, lang, width, height, style)

    def export(self, trials: str | Path | None = None, curves: str | Path | None = None, force: bool = False) -> None:
        """Write all trials, and every point of their curves, as tables with every digit.

        Args:
            trials: a file whose name ends in ``.csv``, ``.parquet`` or ``.json``; or a folder, which gets both as CSV.
            curves: a file for the curves.
            force: replace what is there.

        Raises:
            SpecError: nothing is asked for, a format is not known or pyarrow not installed (``gradrace[export]``), or a
                file exists or cannot be written. StoreError: the store does not hold the race any more.
        """
        from gradrace.race.exporting import table_files, tables, write_all

        files = table_files(Path(trials) if trials else None, Path(curves) if curves else None, force)
        with self._stored("nothing can be written") as store:
            written = tables(store, self.id, files)
        write_all(written)

    def log_to(self, target: str, where: str | Path | None = None) -> str:
        """Log the race to a tracker: each trial with its configuration and curve, and the verdict.

        Logging again adds what is missing and no more: TensorBoard's files are named by the race and written anew, runs
        of MLflow are known by their tags.

        Args:
            target: "tensorboard" or "mlflow".
            where: a folder, or of MLflow a tracking URI. By default ``runs``, and whatever MLflow is set up with.

        Returns:
            A sentence on what was written, and how to look at it.

        Raises:
            SpecError: there is no such tracker, it is not installed (``gradrace[tensorboard]``, ``gradrace[mlflow]``),
                or it cannot be written to. StoreError: the store does not hold the race any more.
        """
        from gradrace.race.trackers import log_to

        with self._stored("nothing can be logged") as store:
            return log_to(store, self.id, target, None if where is None else str(where))

    @contextmanager
    def _stored(self, hence: str) -> Iterator[Store]:
        """The store that this result was read from."""
        if self._store is None:
            raise SpecError(f"This result was not read from a store, so its trials are not known and {hence}.")
        with open_store(self._store, must_exist=True) as store:
            yield store

    def to_dataframe(self) -> Any:
        """The standings as a pandas ``DataFrame``, one row for each contender.

        Raises:
            ImportError: pandas is not installed.
        """
        try:
            import pandas
        except ImportError:
            raise ImportError("to_dataframe needs pandas, which is not installed: pip install pandas") from None
        rows = [
            {
                "place": row["place"],
                "label": row["label"],
                "optimizer": row["optimizer"],
                "test": row["test"]["mean"],
                "test_low": (row["test"]["interval"] or (None, None))[0],
                "test_high": (row["test"]["interval"] or (None, None))[1],
                "validation": row["validation"]["mean"],
                "tied_with": ", ".join(row["tied_with"]),
                **{f"configuration_{name}": value for name, value in (row["configuration"] or {}).items()},
                "lr_robustness_decades": row["lr_robustness_decades"],
                "diverged": row["diverged"],
                "steps_to_target": row["steps_to_target"],
                "step_seconds": row["step_seconds"],
                "state_bytes_per_parameter": row["state_bytes_per_parameter"],
                "code": row["code"],
            }
            for row in self.standings
        ]
        return pandas.DataFrame(rows)

    def __repr__(self) -> str:
        from gradrace.report import terminal

        return terminal.as_text(terminal.render(self._summary))

    def _repr_html_(self) -> str:
        from gradrace.report import html

        return html.fragment(self._summary, self._pictures())

    def _pictures(self) -> list[tuple[str, bytes]]:
        """Titles and SVGs for a notebook, which shows the rest also where they cannot be drawn."""
        from gradrace.race.reporting import page_of
        from gradrace.report.pictures import check_needed, draw, empty, encoded

        try:
            check_needed()
            with self._stored("nothing can be drawn") as store:
                document = page_of(store, self.id)
            figures = [draw(document, kind) for kind in IN_NOTEBOOKS if empty(document, kind) is None]
            return [(str(figure.get_label()), encoded(figure, "svg")[0]) for figure in figures]
        except GradraceError:
            return []
