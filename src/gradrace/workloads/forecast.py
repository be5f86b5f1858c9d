"""forecast: the temperature of the sea six hours ahead, told by a recurrent network from a day of measurements.

The buoy's 19,226 measurements go from February 2016 to March 2017, every half-hour; there is one year of it, hence no
season twice. Six hours is half a tide and a quarter of a day: the water at the buoy is then another, and persistence
("it stays as it is") is off by 0.27 degrees on average. It is the stronger of the two naive forecasts here; the
value of 24 hours before the target is off by 0.38.

Splits lie one after the other: February to July to train, August to select by, September and October to confirm by.
Tuned over three studies of eight trials, RMSprop came to 0.862 times the error of persistence and Adam to 0.867.

The rest is left out, since there is little to gain: from November on the sea is mixed, and tide and day hardly move
its temperature. A linear forecast fitted to February to July is then 1.05 to 1.18 times as far off as persistence, one
fitted to December and January 1.0 times in February and March, and the best of several, fitted to all months until the
new year in units of each window's own changes, 0.94 times.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.workloads._base import Workload
from gradrace.workloads._batch import Batch
from gradrace.workloads._forecast import MAE_OVER_NAIVE, WHEEL, Forecaster, table, windows

START = datetime(2016, 2, 15, tzinfo=UTC)
SPACING = timedelta(minutes=30)
ENDS = (datetime(2016, 8, 1, tzinfo=UTC), datetime(2016, 9, 1, tzinfo=UTC), datetime(2016, 11, 1, tzinfo=UTC))
DAY = timedelta(days=1) // SPACING
WINDOW, HORIZON, STEPS = DAY, DAY // 4, 12
STRIDES = (1, 2, 2)
"""Neighbouring examples are much alike: every second one scores as well, at half the cost."""


def temperatures() -> Tensor:
    """Degrees Celsius for every half-hour from ``START``, in float64; NaN where there was no measurement.

    One half-hour is missing, and 23 in a row; one occurs twice, of which the first is kept.
    """
    rows = table("sea_surface_temperature.csv.gz", ("time (UTC)", "temperature (celsius)"))
    places = [(datetime.fromisoformat(time) - START) // SPACING for time, _ in rows]
    values = torch.full((places[-1] + 1,), math.nan, dtype=torch.float64)
    for place, (_, value) in reversed(list(zip(places, rows, strict=True))):
        values[place] = float(value)
    return values


def examples(values: Tensor) -> tuple[Batch, Batch, Batch]:
    """The three splits of half-hourly values that begin at ``START``.

    A window is 12 steps of two hours, each with its four values, less the last value seen, and sine and cosine of the
    time of day: [n, 12, 6]. The target is the change from the last value seen [n]. Both are in units of the mean
    absolute change in the training split. Examples that touch a missing value are left out.
    """
    stops = [(end - START) // SPACING for end in ENDS]
    parts: list[tuple[Tensor, Tensor, Tensor]] = []
    for first, stop, stride in zip([0, *stops], stops, STRIDES, strict=False):
        seen, wanted = windows(first, stop, WINDOW, HORIZON, stride)
        last = values[seen[:, -1]]
        window, change = values[seen] - last[:, None], values[wanted] - last
        whole = ~(window.isnan().any(dim=1) | change.isnan())
        parts.append((seen[whole], window[whole], change[whole]))
    unit = parts[0][2].abs().mean()

    def batch(seen: Tensor, window: Tensor, change: Tensor) -> Batch:
        steps = (window / unit).unflatten(1, (STEPS, -1))
        angle = seen.unflatten(1, (STEPS, -1))[..., -1:] * (2 * math.pi / DAY)
        return torch.cat([steps, angle.sin(), angle.cos()], dim=2).float(), (change / unit).float()

    train, validation, test = (batch(*part) for part in parts)
    return train, validation, test


def load() -> tuple[Batch, Batch, Batch]:
    """About 8,000 examples to train on, 700 to select by, 1,400 to confirm by, in the order of time."""
    return examples(temperatures())


def make_model() -> nn.Module:
    """A gated recurrent unit of 32: 3,873 parameters."""
    return Forecaster(WINDOW // STEPS + 2, 32)


workload = Workload(
    name="forecast",
    model=make_model,
    data=load,
    loss=functional.l1_loss,
    metric=MAE_OVER_NAIVE,
    batch_size=32,
    steps=1500,
    target=0.9,
    title="sea temperature six hours ahead",
    stands_for="time series: weather",
    source="NERACOOS buoy B01 on the Western Maine Shelf, 2016 to 2017, as shipped in bokeh-sampledata 2026.1",
    licence="'The data may be used and redistributed for free but is not intended for legal use, since it may contain "
    "inaccuracies.' (NERACOOS)",
    wheels=(WHEEL,),
    suites=("primer",),
)
