"""Where buffers lie: those that are needed at once never overlap, and those that are not share memory."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import torch
from by_hand import Case, graph_of, lowered
from hypothesis import given
from hypothesis import strategies as st

from gradrace.engine.native.source import LINE, _placed
from gradrace.engine.native.statements import Names
from gradrace.engine.native.values import Buffer


@dataclass
class Touching:
    """A statement that is nothing but what it reads and writes."""

    read: set[Buffer]
    written: tuple[Buffer, ...]

    def panel(self, width: int) -> int:
        return 0

    def reads(self) -> set[Buffer]:
        return self.read

    def writes(self) -> tuple[Buffer, ...]:
        return self.written

    def lines(self, names: Names) -> list[str]:
        return []


@st.composite
def programs(draw: st.DrawFn) -> list[Touching]:
    """Statements that write to buffers, some of them parts of others, and read those written before."""
    dtypes = st.sampled_from([torch.float32, torch.float64, torch.bool])
    buffers = [Buffer(draw(dtypes), draw(st.integers(1, 200))) for _ in range(draw(st.integers(1, 12)))]
    for place, buffer in enumerate(buffers[1:], 1):
        if draw(st.booleans()) and draw(st.booleans()):
            whole = buffers[draw(st.integers(0, place - 1))]
            if whole.dtype == buffer.dtype and whole.size >= buffer.size:
                buffer.inside = (whole, whole.size - buffer.size)
    statements = []
    for time, buffer in enumerate(buffers):
        known = buffers[: time + 1]
        statements.append(Touching(set(draw(st.lists(st.sampled_from(known), max_size=3))) - {buffer}, (buffer,)))
    for _ in range(draw(st.integers(0, 6))):
        statements.append(Touching(set(draw(st.lists(st.sampled_from(buffers), min_size=1, max_size=3))), ()))
    return statements


def lives(statements: list[Touching]) -> dict[Buffer, tuple[int, int]]:
    """From which statement to which each whole buffer is needed."""
    found: dict[Buffer, tuple[int, int]] = {}
    for time, statement in enumerate(statements):
        for buffer in (*statement.read, *statement.written):
            root, _ = buffer.root()
            found[root] = (found.get(root, (time, time))[0], time)
    return found


@given(programs())
def test_buffers_needed_at_once_do_not_overlap(statements: list[Touching]) -> None:
    places, total = _placed(statements)
    needed = lives(statements)
    assert set(places) == set(needed)
    ends = {buffer: place + buffer.size * buffer.dtype.itemsize for buffer, place in places.items()}
    for one, (first, last) in needed.items():
        assert places[one] % LINE == 0
        assert ends[one] <= total
        for other, (start, stop) in needed.items():
            if one is not other and first <= stop and start <= last:
                assert ends[one] <= places[other] or ends[other] <= places[one]
    assert total <= sum(-(-buffer.size * buffer.dtype.itemsize // LINE) * LINE for buffer in needed)


def test_what_is_no_longer_needed_makes_room() -> None:
    chain = [Buffer(torch.float64, 100) for _ in range(10)]
    steps = [Touching({before}, (after,)) for before, after in itertools.pairwise(chain)]
    _, total = _placed([Touching(set(), (chain[0],)), *steps])
    assert total == 2 * -(-800 // LINE) * LINE
    # Outputs and inputs lie elsewhere, and so does what is a part of them.
    out = Buffer(torch.float64, 200, "output", 0)
    chain[0].inside = (out, 100)
    assert _placed([Touching({Buffer(torch.float64, 5, "input", 0)}, (chain[0],))]) == ({}, 0)


def test_parts_of_a_list_are_computed_where_they_belong() -> None:
    aten = torch.ops.aten
    x, y = torch.randn(5, 7), torch.randn(4, 7)

    def rows(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return aten.cat.default([aten.sum.dim_IntList(x, [1]), aten.sum.dim_IntList(y, [1])])

    low = lowered(graph_of([Case("rows", rows, [x, y])]), [x, y])
    assert len(low.statements) == 2  # two sums, and nothing that copies
    (out,) = low.outputs
    assert [buffer.root() for s in low.statements for buffer in s.writes()] == [(out, 0), (out, 5)]
