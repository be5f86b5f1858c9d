"""forecast-stocks: tomorrow's return of a stock, told by a recurrent network from those of the last twenty days.

Prices that many people trade hold no easy forecast: it is expected that nothing does better than "no change", whose
score is 1. So it was: in a quick race the five contenders came to 1.002 or 1.003, without a detectable difference.
There is therefore no target; a race here shows whether a difference is claimed where there is nothing to be learnt.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch
from gradrace.workloads._forecast import MAE_OVER_NAIVE, WHEEL, Forecaster, table, windows

COLUMNS = ("Ticker", "Date", "Open", "High", "Low", "Close", "Volume", "Adj Close")
STARTS = ("2000-01-01", "2009-01-01", "2011-01-01", "2013-12-31")
"""The first day of each split, and a day after the last."""
WINDOW, HORIZON = 20, 1
STRIDES = (1, 2, 1)
"""Every second day selects as well, at half the cost."""

Prices = Mapping[str, tuple[Sequence[str], Tensor]]
"""For each stock its trading days, as 2000-12-31, and the price at the end of each."""


def prices() -> Prices:
    """Closing prices in dollars, adjusted for dividends and for shares that were split, in float64."""
    days: dict[str, list[str]] = {}
    closes: dict[str, list[float]] = {}
    for row in table("stocks.csv.gz", COLUMNS):
        days.setdefault(row[0], []).append(row[1])
        closes.setdefault(row[0], []).append(float(row[-1]))
    return {name: (days[name], torch.tensor(closes[name], dtype=torch.float64)) for name in days}


def examples(known: Prices) -> tuple[Batch, Batch, Batch]:
    """The three splits, all stocks in each as far as they were traded then.

    A window holds the log returns of twenty trading days [n, 20, 1], the target that of the next [n], both in units of
    the mean absolute return that the training split asks for.
    """
    parts: list[tuple[Tensor, Tensor]] = []
    for start, end, stride in zip(STARTS, STARTS[1:], STRIDES, strict=False):
        seen_of, wanted_of = [], []
        for days, close in known.values():
            returns = close.log().diff()  # returns[i] is that of days[i + 1]
            first, stop = (bisect_left(days, day, lo=1) - 1 for day in (start, end))
            seen, wanted = windows(first, stop, WINDOW, HORIZON, stride)
            seen_of.append(returns[seen])
            wanted_of.append(returns[wanted])
        parts.append((torch.cat(seen_of), torch.cat(wanted_of)))
    unit = parts[0][1].abs().mean()
    train, validation, test = (((seen / unit).unsqueeze(2).float(), (wanted / unit).float()) for seen, wanted in parts)
    return train, validation, test


def load() -> tuple[Batch, Batch, Batch]:
    """2000 to 2008 to train on, 2009 and 2010 to select by, 2011 to March 2013 to confirm by."""
    return examples(prices())


def make_model() -> nn.Module:
    """A gated recurrent unit of 16: 929 parameters."""
    return Forecaster(1, 16)


workload = Workload(
    name="forecast-stocks",
    model=make_model,
    data=load,
    loss=functional.l1_loss,
    metric=MAE_OVER_NAIVE,
    batch_size=64,
    steps=1000,
    title="next-day returns of five stocks, which hold no easy forecast",
    stands_for="time series: stock prices",
    source="Quandl WIKI prices of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013, as shipped in bokeh-sampledata 2026.1",
    licence="public domain: the publisher 'declares the WIKI data public domain and explicitly permits copying, "
    "distribution and inclusion in commercial or noncommercial products'",
    wheels=(WHEEL,),
    suites=("primer",),
)
