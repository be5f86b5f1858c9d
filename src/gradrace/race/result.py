"""The result of a race, as Python sees it: a view of the summary, which is also the JSON."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any


class RaceResult:
    """What a race found.

    Attributes:
        id: the race's id in its store.
        standings: one dict for each contender, best first.
        pairs: one dict for each two contenders, with difference, interval and decision.
        recommendation: ``optimizer`` (a label) and ``code`` (a line of PyTorch), None where none is; ``sentence``.
        warnings: sentences.
    """

    def __init__(self, summary: Mapping[str, Any]) -> None:
        self._summary = copy.deepcopy(dict(summary))
        self.id: str = self._summary["race"]["id"]
        self.standings: list[dict[str, Any]] = self._summary["standings"]
        self.pairs: list[dict[str, Any]] = self._summary["pairs"]
        self.recommendation: dict[str, Any] = self._summary["recommendation"]
        self.warnings: list[str] = self._summary["warnings"]

    def to_json(self) -> dict[str, Any]:
        """The whole summary as a dict of JSON types (schema 1); a copy."""
        return copy.deepcopy(self._summary)

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
