"""The result of a race, as Python sees it: a view of the summary, which is also the JSON."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradrace.errors import SpecError
from gradrace.store import open_store


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

        if self._store is None:
            raise SpecError(
                "This result was not read from a store, so its trials are not known and no page can be drawn."
            )
        path = Path(path)
        check_page(path)
        with open_store(self._store, must_exist=True) as store:
            document = page_of(store, self.id)
        write_whole(page(document, lang), path)
        return path

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

        return html.fragment(self._summary)
