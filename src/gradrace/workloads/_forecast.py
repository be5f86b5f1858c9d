"""What the two forecasting tasks share: their source, positions of windows, a recurrent forecaster, and the metric."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gradrace.data import Wheel
from gradrace.errors import DataError
from gradrace.workloads._metrics import Metric

WHEEL = Wheel(
    project="bokeh-sampledata",
    version="2026.1",
    sha256="f40331a40ca30c64a1c1471835aad9006b61b0d9731a3f649ee8cbbf48d3822f",
    megabytes=12.8,
    terms="Sea temperatures (NERACOOS) may be used and redistributed for free but are not intended for legal use, as "
    "they may contain inaccuracies; stock prices (Quandl WIKI) are public domain.",
)


def table(member: str, header: Sequence[str]) -> list[list[str]]:
    """The rows of a compressed CSV file of the wheel, without its header.

    Raises:
        DataError: the wheel cannot be had, or the file's header is another one.
    """
    path = f"bokeh_sampledata/_data/{member}"
    rows = list(csv.reader(io.StringIO(WHEEL.read_gzip(path).decode())))
    if not rows or rows[0] != list(header):
        found = rows[0] if rows else []
        raise DataError(f"'{path}' in the wheel {WHEEL} has the columns {found}; they must be {list(header)}.")
    return rows[1:]


def windows(first: int, stop: int, window: int, horizon: int, stride: int = 1) -> tuple[Tensor, Tensor]:
    """Where the examples of one split lie in a series: window and target all within the positions first to stop - 1.

    Splits whose ranges do not meet therefore share no value: what one of them asks for is in no window of another.

    Args:
        first: the split's first position.
        stop: the position after its last.
        window: values that a forecast sees.
        horizon: positions from the last value seen to the target.
        stride: positions between one example and the next.

    Returns:
        Positions of the values seen [examples, window] and of the targets [examples].
    """
    last = torch.arange(first + window - 1, max(stop - horizon, first + window - 1), stride)
    return last[:, None] + torch.arange(1 - window, 1), last + horizon


class Forecaster(nn.Module):
    """A gated recurrent unit that reads a window [n, steps, features] and tells the change to come [n]."""

    def __init__(self, features: int, units: int) -> None:
        super().__init__()
        self.reader = nn.GRU(features, units, batch_first=True)
        self.change = nn.Linear(units, 1)

    def forward(self, window: Tensor) -> Tensor:
        """From a window [n, steps, features] to a change [n]."""
        states, _ = self.reader(window)
        return self.change(states[:, -1]).squeeze(-1)


def mae_over_naive(output: Tensor, target: Tensor) -> Tensor:
    """``sum |output - target| / sum |target|`` of forecast and true changes [n].

    The naive forecast is that nothing changes, an output of 0: it scores 1, and less is better.
    """
    return (output - target).abs().sum() / target.abs().sum()


MAE_OVER_NAIVE = Metric("mae over naive", mae_over_naive, "min")
