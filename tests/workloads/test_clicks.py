"""clicks: the stream is read right, is cut by time, knows nothing of its future, and can be learnt from."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from gradrace.workloads import Batch, clicks
from gradrace.workloads.clicks import FOLDER, LIKED, WHEEL, Catalogue, Event, workload


@pytest.fixture(scope="module")
def found() -> list[clicks.Event]:
    return clicks.events(WHEEL.read(f"{FOLDER}/ml-100k.inter"))


@pytest.fixture(scope="module")
def known() -> Catalogue:
    return clicks.catalogue(WHEEL.read(f"{FOLDER}/ml-100k.user"), WHEEL.read(f"{FOLDER}/ml-100k.item"))


@pytest.fixture(scope="module")
def splits() -> tuple[Batch, Batch]:
    return clicks.load()


def test_the_reader_finds_what_the_data_set_is_known_for(found: list[Event], known: Catalogue) -> None:
    assert len(found) == 100_000
    assert len({(event.user, event.item) for event in found}) == 100_000  # nobody rates a film twice
    assert {event.user for event in found} == set(known.users) == set(range(1, clicks.USERS + 1))
    assert {event.item for event in found} == set(known.genres) == set(range(1, clicks.ITEMS + 1))
    assert sum(event.liked for event in found) == 55_375  # ratings of 4 and 5
    assert known.users[1] == (2, clicks.GENDERS.index("M"), clicks.OCCUPATIONS.index("technician"))  # aged 24
    assert known.periods[1] == (1995 - 1920) // 5  # Toy Story
    assert {clicks.GENRES[genre] for genre in known.genres[1]} == {"Animation", "Children's", "Comedy"}
    assert known.periods[267] == clicks.PERIODS
    assert known.genres[267] == ()


def test_a_rating_of_four_is_a_like_and_three_is_not() -> None:
    table = b"user_id\titem_id\trating\ttimestamp\n1\t2\t3\t20\n1\t3\t4\t10\n2\t3\t5\t20\n"
    assert clicks.events(table) == [Event(10, 1, 3, True), Event(20, 1, 2, False), Event(20, 2, 3, True)]
    assert LIKED == 4


def test_no_event_of_the_test_part_is_earlier_than_one_of_the_train_part(
    found: list[Event], splits: tuple[Batch, Batch]
) -> None:
    train, test = splits
    assert isinstance(train, tuple)
    assert isinstance(test, tuple)
    place = len(train[0])
    assert place + len(test[0]) == len(found)
    assert place == pytest.approx(70_000, abs=50)
    assert max(event.time for event in found[:place]) < min(event.time for event in found[place:])
    starts = [sum(clicks.TABLES[:table]) for table in range(2)]
    for row, event in ((0, found[0]), (place - 1, found[place - 1])):  # rows stand in the order of the events
        assert train[0][row, :2].tolist() == [event.user - 1, event.item - 1 + starts[1]]
    assert test[0][-1, :2].tolist() == [found[-1].user - 1, found[-1].item - 1 + starts[1]]
    assert train[2].tolist() == [float(event.liked) for event in found[:place]]


def test_what_describes_an_event_does_not_move_when_it_and_its_future_are_changed(
    found: list[Event], known: Catalogue
) -> None:
    part = found[:3000]
    place = 2000
    while part[place].time == part[place - 1].time:
        place += 1
    other = part[:place] + [event._replace(liked=not event.liked, item=event.item % 1682 + 1) for event in part[place:]]
    liked_alone = part[:place] + [event._replace(liked=not event.liked) for event in part[place:]]
    ids, numbers, _ = clicks.stream(part, known)
    for changed in (other, liked_alone, part[:place]):
        ids_then, numbers_then, _ = clicks.stream(changed, known)
        assert torch.equal(ids_then[:place], ids[:place])
        assert torch.equal(numbers_then[:place], numbers[:place])
    now = [row for row in range(place, len(part)) if part[row].time == part[place].time]
    _, numbers_then, _ = clicks.stream(liked_alone, known)
    assert torch.equal(numbers_then[now], numbers[now])  # nor is an event told by its own like, or its second's
    assert not torch.equal(numbers_then[now[-1] + 1 :], numbers[now[-1] + 1 :])  # but what came is told later


def test_shares_of_likes_are_those_of_earlier_seconds() -> None:
    known = Catalogue({1: (2, 0, 0), 2: (3, 1, 1)}, {1: 3, 2: 4}, {1: (0,), 2: (0, 1)})
    _, numbers, _ = clicks.stream([Event(5, 1, 1, True), Event(5, 1, 2, False), Event(6, 1, 2, True)], known)
    first, same_second, later = numbers.double()
    assert first[:6].tolist() == same_second[:6].tolist() == [0.0] * 6
    usual = (1 + 10 * 0.5) / (2 + 10)
    taste, fame = (1 + 5 * usual) / 7, (0 + 5 * usual) / 6
    match = ((1 + 3 * taste) / 5 + (0 + 3 * taste) / 4) / 2
    lately = 0.9 * (0.9 * 0.5 + 0.1) + 0.0
    # The average of late likes begins at the usual share when the user comes first: 1/2, before anything was seen.
    expected = [4 * (taste - usual), 4 * (fame - usual), 4 * (match - taste), 4 * (lately - usual)]
    expected += [math.log(3) / 4, math.log(2) / 4]
    assert later[:6].tolist() == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert later[6:8].tolist() == [1.0, 1.0]
    assert later[8:].sum() == 0


def test_ids_stay_in_the_table_and_numbers_near_unit_size(splits: tuple[Batch, Batch]) -> None:
    for batch in splits:
        assert isinstance(batch, tuple)
        ids, numbers, liked = batch
        limits = torch.tensor(clicks.TABLES).cumsum(0)
        assert (ids < limits).all()
        assert (ids >= limits - torch.tensor(clicks.TABLES)).all()
        assert numbers.dtype == torch.float32
        assert torch.isfinite(numbers).all()
        assert numbers.abs().max() < 5
        assert 0.5 < liked.mean() < 0.6


def test_one_pass_learns_more_than_the_share_of_likes(splits: tuple[Batch, Batch]) -> None:
    (ids, numbers, liked), _ = splits
    assert isinstance(ids, Tensor)
    assert isinstance(numbers, Tensor)
    assert isinstance(liked, Tensor)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = clicks.Recommender()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logits = []
    for place in range(0, 20_000, workload.batch_size):
        rows = slice(place, place + workload.batch_size)
        output = model(ids[rows], numbers[rows])
        logits.append(output.detach())  # scored before it is learnt
        optimizer.zero_grad()
        functional.binary_cross_entropy_with_logits(output, liked[rows]).backward()
        optimizer.step()
    auc = workload.others["auc"]
    late = slice(10_000, 20_000)
    assert auc(torch.cat(logits)[late], liked[late]) > 0.7
    share = liked[late].mean()
    unlearnt = functional.binary_cross_entropy_with_logits(share.logit().expand(10_000), liked[late])
    assert functional.binary_cross_entropy_with_logits(torch.cat(logits)[late], liked[late]) < 0.95 * unlearnt


def test_the_workload_is_online_and_one_pass_long(splits: tuple[Batch, Batch]) -> None:
    assert workload.online
    assert workload.order == "time"
    train, _ = splits
    assert isinstance(train, tuple)
    assert workload.steps == len(train[0]) // workload.batch_size
    assert workload.scored_by.direction == "min"
    assert list(workload.others) == ["auc"]
    assert "redistribut" in workload.licence
    assert "clicks" in workload.stands_for
