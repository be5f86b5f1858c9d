"""The two forecasting tasks: what their real data hold, that the future is unknown to them, and what naive scores."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import cast

import pytest
import torch
from torch import Tensor

from gradrace.data import Wheel
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training, TrialSetup
from gradrace.errors import DataError
from gradrace.optimizers import optimizer
from gradrace.workloads import Workload, workload
from gradrace.workloads import forecast as sea
from gradrace.workloads import forecast_stocks as stocks
from gradrace.workloads._forecast import mae_over_naive, table, windows

SPLITS = ("train", "validation", "test")
both = pytest.mark.parametrize("name", ["forecast", "forecast-stocks"])
Pair = tuple[Tensor, Tensor]


def split(task: Workload, name: str) -> Pair:
    return cast(Pair, task.in_memory(name))


def same(one: object, other: object) -> bool:
    return all(torch.equal(a, b) for a, b in zip(cast(Pair, one), cast(Pair, other), strict=True))


# --- what the data hold ---


def test_sea_temperatures_are_those_of_the_buoy() -> None:
    values = sea.temperatures()
    assert len(values) == 19_249  # half-hours from 15 February 2016 to 22 March 2017, both at 00:00
    missing = values.isnan()
    assert missing.sum() == 24
    assert len(values) - 24 == 19_226 - 1  # one time occurs twice
    gaps = missing.nonzero().flatten()
    assert sea.START + int(gaps[0]) * sea.SPACING == datetime(2016, 6, 14, 13, 30, tzinfo=UTC)
    assert [sea.START + int(gaps[n]) * sea.SPACING for n in (1, -1)] == [
        datetime(2016, 7, 8, 2, tzinfo=UTC),
        datetime(2016, 7, 8, 13, tzinfo=UTC),
    ]
    assert values[:2].tolist() == [4.929, 4.887]
    twice = (datetime(2017, 3, 21, 16, 30, tzinfo=UTC) - sea.START) // sea.SPACING
    assert values[twice] == 4.276  # the first of 4.276 and 4.289
    known = values[~missing]
    assert (known.min(), known.max()) == (3.612, 22.15)


def test_stock_prices_are_those_of_five_stocks() -> None:
    known = stocks.prices()
    assert {name: len(days) for name, (days, _) in known.items()} == {
        "AAPL": 3270,
        "FB": 196,
        "GOOG": 2148,
        "IBM": 3270,
        "MSFT": 3270,
    }
    for days, close in known.values():
        assert list(days) == sorted(set(days))
        assert len(days) == len(close)
        assert close.min() > 0
        assert days[-1] == "2013-03-01"
    # Apple lost half of its price on one day, which the adjusted price keeps. Splits of shares are not in it.
    returns = known["AAPL"][1].log().diff()
    assert known["AAPL"][0][int(returns.argmin()) + 1] == "2000-09-29"
    assert returns.min().item() == pytest.approx(-0.731, abs=1e-3)
    assert max(close.log().diff().abs().max().item() for name, (_, close) in known.items() if name != "AAPL") < 0.2


def test_another_header_is_told() -> None:
    with pytest.raises(DataError, match=r"has the columns \['time \(UTC\)', .*they must be \['day', 'price'\]"):
        table("sea_surface_temperature.csv.gz", ("day", "price"))


def test_a_window_and_its_target_by_hand() -> None:
    seen, wanted = windows(10, 20, 3, 2, stride=4)
    assert seen.tolist() == [[10, 11, 12], [14, 15, 16]]
    assert wanted.tolist() == [14, 18]
    assert windows(10, 15, 3, 2)[1].tolist() == [14]  # exactly one fits
    assert windows(10, 14, 3, 2)[0].shape == (0, 3)

    values = sea.temperatures()
    window, change = split(workload("forecast"), "train")
    unit = values[59].sub(values[47]).item() / change[0].item()  # the first example: 48 values, then 6 hours more
    expected = (values[:48] - values[47]) / unit
    torch.testing.assert_close(window[0, :, :4].flatten(), expected.float())
    angle = 2 * math.pi * torch.arange(3, 48, 4) / 48
    torch.testing.assert_close(window[0, :, 4:], torch.stack([angle.sin(), angle.cos()], dim=1))

    returns = stocks.prices()["AAPL"][1].log().diff()
    window, change = split(workload("forecast-stocks"), "train")
    unit = returns[20].item() / change[0].item()
    torch.testing.assert_close(window[0, :, 0], (returns[:20] / unit).float())


@both
def test_changes_are_in_units_of_the_training_split(name: str) -> None:
    task = workload(name)
    assert split(task, "train")[1].abs().mean().item() == pytest.approx(1, abs=1e-5)
    assert all(torch.isfinite(tensor).all() for part in SPLITS for tensor in split(task, part))
    assert all(len(split(task, part)[1]) > 600 for part in SPLITS)


# --- the future is unknown ---


def test_the_future_moves_no_earlier_example_of_the_sea() -> None:
    values = sea.temperatures()
    before = sea.examples(values)
    for later, end in enumerate(sea.ENDS):  # of the training split, the validation split, the test split
        altered = values.clone()
        altered[(end - sea.START) // sea.SPACING :] = 40
        after = sea.examples(altered)
        assert [same(a, b) for a, b in zip(before, after, strict=True)] == [n <= later for n in range(3)]


def test_within_and_between_splits_examples_of_the_sea_share_one_unit_alone() -> None:
    values = sea.temperatures()
    before, stop = sea.examples(values), (sea.ENDS[0] - sea.START) // sea.SPACING
    for part, changed, rows in ((0, slice(3000, None), 500), (1, slice(stop - 200, stop), 700)):
        altered = values.clone()
        altered[changed] *= 3
        after = sea.examples(altered)
        ratio = cast(Pair, after[part])[0][:rows, :, :4] / cast(Pair, before[part])[0][:rows, :, :4]
        known = ratio[~ratio.isnan()]  # the last value of a window is 0
        assert known[0].item() < 0.99
        torch.testing.assert_close(known, known[:1].expand(len(known)))


def test_the_future_moves_no_earlier_example_of_the_stocks() -> None:
    known = stocks.prices()
    before = stocks.examples(known)
    for later, start in enumerate(stocks.STARTS[1:]):
        altered: stocks.Prices = {
            name: (days, close * torch.tensor([3.0 ** (n % 2) if day >= start else 1.0 for n, day in enumerate(days)]))
            for name, (days, close) in known.items()
        }
        after = stocks.examples(altered)
        assert [same(a, b) for a, b in zip(before, after, strict=True)] == [n <= later for n in range(3)]


# --- what is scored ---


@both
def test_the_naive_forecast_scores_exactly_one(name: str) -> None:
    task = workload(name)
    model = task.model() if task.model is not None else None
    assert model is not None
    for parameter in model.change.parameters():  # pyright: ignore[reportAttributeAccessIssue]
        torch.nn.init.zeros_(parameter)
    score = task.scored_by.of
    assert score is not None
    for part in SPLITS:
        batch = task.in_memory(part)
        assert score(task.output(model, batch), split(task, part)[1]).item() == 1
    assert task.scored_by.direction == "min"


def test_the_metric_by_hand() -> None:
    output, target = torch.tensor([1.0, 0.0, -1.0]), torch.tensor([2.0, -1.0, -1.0])
    assert mae_over_naive(output, target).item() == pytest.approx((1 + 1 + 0) / (2 + 1 + 1))
    assert mae_over_naive(target, target).item() == 0


def test_persistence_is_the_stronger_naive_forecast_of_the_sea() -> None:
    # The other one says that it will be as warm as 24 hours before the target, 18 hours before the last value seen.
    for part in SPLITS:
        window, change = split(workload("forecast"), part)
        daily = window[..., :4].flatten(1)[:, sea.WINDOW - 1 - (sea.DAY - sea.HORIZON)]
        assert mae_over_naive(daily, change).item() > 1.15


@pytest.mark.parametrize(("name", "bound"), [("forecast", 0.95), ("forecast-stocks", 1.05)])
def test_training_improves(name: str, bound: float) -> None:
    task, rule = workload(name), optimizer("rmsprop")
    trials = Loop(task).start(
        [TrialSetup(rule, rule.configure({"lr": 0.003}), rule.options, (0, 0, 0))], Training(150, task.batch_size)
    )
    (before,) = trials.evaluate("validation").metric
    trials.train(150)
    (after,) = trials.evaluate("validation").metric
    assert after < min(before, bound)


@both
def test_the_wheel_is_told_with_its_terms(name: str) -> None:
    (wheel,) = workload(name).wheels
    assert isinstance(wheel, Wheel)
    assert "free" in wheel.terms
    assert workload(name).licence.strip()
    assert workload(name).target == (0.9 if name == "forecast" else None)
