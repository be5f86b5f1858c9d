"""clicks: a recommender that learns from people's likes one small batch after another, in the order they came."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.data import Wheel
from gradrace.workloads._base import Batch, Workload
from gradrace.workloads._kept import Kept
from gradrace.workloads._metrics import Metric, area_under_curve

WHEEL = Wheel(
    project="recbole",
    version="1.2.1",
    sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    megabytes=2.1,
    terms="MovieLens-100k by GroupLens: for research, not to be redistributed; it is read, never passed on.",
)
FOLDER = "recbole/dataset_example/ml-100k"
USERS, ITEMS = 943, 1682
LIKED = 4
"""A rating of at least this is a like."""
TRAINED = 0.7
"""Share of the events, the earlier ones, to train and select on."""

GENDERS = ("F", "M")
OCCUPATIONS = (
    "administrator",
    "artist",
    "doctor",
    "educator",
    "engineer",
    "entertainment",
    "executive",
    "healthcare",
    "homemaker",
    "lawyer",
    "librarian",
    "marketing",
    "none",
    "other",
    "programmer",
    "retired",
    "salesman",
    "scientist",
    "student",
    "technician",
    "writer",
)
GENRES = (
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
DECADES = 8
"""Ages by decade: the youngest is 7, the eldest 73."""
FIRST_YEAR, PERIODS = 1920, 16
"""Release years by five, and one more for the unknown."""
TABLES = (USERS, ITEMS, DECADES, len(GENDERS), len(OCCUPATIONS), PERIODS + 1)
"""Kinds of each thing that has an embedding."""
NUMBERS = 6 + len(GENRES)
WIDTH, HIDDEN = 8, 32


class Event(NamedTuple):
    """Somebody rated a film. Time in seconds since 1970."""

    time: int
    user: int
    item: int
    liked: bool


@dataclass(frozen=True)
class Catalogue:
    """What is known of users and items beforehand: numbers of their attributes, by id."""

    users: Mapping[int, tuple[int, int, int]]
    periods: Mapping[int, int]
    genres: Mapping[int, tuple[int, ...]]


def rows(table: bytes) -> list[list[str]]:
    """The fields of a table with a header line and tabs between the fields."""
    return [line.split("\t") for line in table.decode().split("\n")[1:] if line]


def catalogue(users: bytes, items: bytes) -> Catalogue:
    """Users' decade of age, gender and occupation; films' years by five and genres. Attributes alone, no ratings."""
    people = {
        int(user): (int(age) // 10, GENDERS.index(gender), OCCUPATIONS.index(occupation))
        for user, age, gender, occupation, _ in rows(users)
    }
    periods, genres = {}, {}
    for item, _, year, kinds in rows(items):
        known = year.isdigit()
        periods[int(item)] = min((int(year) - FIRST_YEAR) // 5, PERIODS - 1) if known else PERIODS
        genres[int(item)] = tuple(GENRES.index(kind) for kind in kinds.split() if kind in GENRES)
    return Catalogue(people, periods, genres)


def events(table: bytes) -> list[Event]:
    """All events by time; those of one second as they stand in the table, which is not sorted by anything."""
    found = [Event(int(t), int(user), int(item), float(r) >= LIKED) for user, item, r, t in rows(table)]
    return sorted(found, key=lambda event: event.time)


class Past:
    """Counts of likes so far, of everybody, of each user, item, and user and genre together."""

    def __init__(self, known: Catalogue) -> None:
        self._known = known
        self._seen: Counter[object] = Counter()
        self._liked: Counter[object] = Counter()
        self._lately: dict[int, float] = {}

    def share(self, key: object, prior: float, weight: float) -> float:
        """The share of likes among the events of a key, which begins at ``prior`` as if after ``weight`` events."""
        return (self._liked[key] + weight * prior) / (self._seen[key] + weight)

    def numbers(self, user: int, item: int) -> list[float]:
        """Six numbers of about unit size.

        How far the user, the item, the user with such genres and the user lately depart from what is to be expected
        without them, and how much was seen of user and item.
        """
        usual = self.share("all", 0.5, 10)
        taste = self.share(("user", user), usual, 5)
        fame = self.share(("item", item), usual, 5)
        kinds = [self.share((user, genre), taste, 3) for genre in self._known.genres[item]]
        match = sum(kinds) / len(kinds) if kinds else taste
        departures = (taste - usual, fame - usual, match - taste, self._lately.get(user, usual) - usual)
        counts = (self._seen["user", user], self._seen["item", item])
        return [4 * departure for departure in departures] + [math.log1p(count) / 4 for count in counts]

    def add(self, event: Event) -> None:
        """One more event."""
        usual = self.share("all", 0.5, 10)
        self._lately[event.user] = 0.9 * self._lately.get(event.user, usual) + 0.1 * event.liked
        kinds = [(event.user, genre) for genre in self._known.genres[event.item]]
        for key in ("all", ("user", event.user), ("item", event.item), *kinds):
            self._seen[key] += 1
            self._liked[key] += event.liked


def stream(found: Iterable[Event], known: Catalogue) -> tuple[Tensor, Tensor, Tensor]:
    """Events in the order of time as tensors: ids [n, 6] into the table of embeddings, numbers [n, 24], liked [n].

    An event is described by who and what it is about, and by the likes of events at an *earlier second*: not by its
    own, nor by others of the same second, which the system could not yet have known.
    """
    past = Past(known)
    waiting: list[Event] = []
    ids, numbers, likes = [], [], []
    for event in found:
        if waiting and event.time > waiting[0].time:
            for earlier in waiting:
                past.add(earlier)
            waiting.clear()
        genres = known.genres[event.item]
        ids.append((event.user - 1, event.item - 1, *known.users[event.user], known.periods[event.item]))
        numbers.append(past.numbers(event.user, event.item) + [float(n in genres) for n in range(len(GENRES))])
        likes.append(float(event.liked))
        waiting.append(event)
    starts = torch.tensor([sum(TABLES[:table]) for table in range(len(TABLES))])
    return torch.tensor(ids) + starts, torch.tensor(numbers), torch.tensor(likes)


def cut(found: Sequence[Event]) -> int:
    """Where the later share begins: with the first event of a second, so that no second is in both."""
    place = int(TRAINED * len(found))
    while found[place].time == found[place - 1].time:
        place += 1
    return place


def load() -> tuple[Batch, Batch]:
    """The stream's earlier 70 % and its later rest: 100,000 events of 943 users, September 1997 to April 1998."""
    files = [WHEEL.read(f"{FOLDER}/ml-100k.{kind}") for kind in ("inter", "user", "item")]
    found, known = events(files[0]), catalogue(files[1], files[2])
    ids, numbers, liked = stream(found, known)
    place = cut(found)
    return (ids[:place], numbers[:place], liked[:place]), (ids[place:], numbers[place:], liked[place:])


class Recommender(nn.Module):
    """Embeddings of user, item and four attributes beside 24 numbers, then one hidden layer: [n, 6], [n, 24] to [n].

    All embeddings are rows of one table; they begin small (spread 0.1), so that someone new is like everybody.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(sum(TABLES), WIDTH)
        self.hidden = nn.Linear(len(TABLES) * WIDTH + NUMBERS, HIDDEN)
        self.out = nn.Linear(HIDDEN, 1)
        with torch.no_grad():
            self.table.weight.mul_(0.1)

    def forward(self, ids: Tensor, numbers: Tensor) -> Tensor:
        """The logit of a like."""
        features = torch.cat([self.table(ids).flatten(1), numbers], dim=1)
        return self.out(torch.relu(self.hidden(features))).squeeze(1)


workload = Workload(
    name="clicks",
    model=Recommender,
    data=Kept(load, (WHEEL,)),
    loss=functional.binary_cross_entropy_with_logits,
    metric=Metric("log_loss", of_loss=lambda loss: loss),
    others={"auc": area_under_curve},
    online=True,
    order="time",
    batch_size=32,
    steps=2187,
    target=0.59,
    title="likes of films, learnt as they come",
    stands_for="a recommender that takes in customers' clicks in real time",
    source="MovieLens-100k (GroupLens), as shipped with recbole 1.2.1",
    licence="research use, no redistribution: read, never passed on",
    wheels=(WHEEL,),
    suites=("primer",),
)
