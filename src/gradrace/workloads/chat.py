"""chat: a small decoder learns to answer, from pairs of a question and an answer of the ChatterBot corpus in English.

It is small: 1,176 different pairs are all there is, enough to learn how such answers are worded and not what is true.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import yaml
from torch import Tensor, nn

from gradrace.data import Wheel
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._transformer import Block, Norm, cross_entropy, embedding, hide

WHEEL = Wheel(
    project="chatterbot-corpus",
    version="1.3.3",
    sha256="86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
    megabytes=0.35,
    terms="The ChatterBot corpus is under the BSD licence of three clauses.",
)
FILES = [
    "ai",
    "botprofile",
    "coding",
    "computers",
    "conversations",
    "emotion",
    "food",
    "gossip",
    "greetings",
    "health",
    "history",
    "humor",
    "literature",
    "money",
    "movies",
    "politics",
    "psychology",
    "science",
    "sports",
    "tech_support",
    "trivia",
]

PAD, ANSWER, END, OTHER = range(4)
SYMBOLS = 256
"""Symbols that the model knows: the four above and the pieces."""
QUESTION, LENGTH = 20, 32
"""Pieces of a question that are read, its last ones; and of an answer that are learnt, its first ones."""
VALIDATION = TEST = 140
"""Questions of each, with all their answers."""
WIDTH, HEADS, DROPOUT = 32, 2, 0.2

Pair = tuple[str, str]
Tensors = tuple[Tensor, ...]
Merge = tuple[str, str]


def fold(line: Any) -> str:
    """A line in lower case, with straight apostrophes and single spaces."""
    return " ".join(str(line).lower().replace("’", "'").split())


def pairs_of(corpus: bytes) -> list[Pair]:
    """Each line of a conversation with the one that follows, as the corpus's own trainer reads it.

    An entry that is not a list is not a conversation: there is one, a lone line of text.
    """
    conversations = yaml.safe_load(corpus)["conversations"]
    lists = [[fold(line) for line in lines] for lines in conversations if isinstance(lines, list)]
    return [pair for lines in lists for pair in pairwise(lines)]


def words_of(line: str) -> list[str]:
    """The words of a line, each with the space before it: joined, they are the line."""
    return re.findall(" ?[^ ]+", line)


def merged(pieces: Sequence[str], merge: Merge) -> list[str]:
    """The pieces of a word, with every occurrence of the two made one, from the left."""
    joined, result = merge[0] + merge[1], list[str]()
    for piece in pieces:
        if piece == merge[1] and result and result[-1] == merge[0]:
            result[-1] = joined
        else:
            result.append(piece)
    return result


class Pieces:
    """Pieces of words by byte-pair encoding (Sennrich et al. 2016, https://arxiv.org/abs/1508.07909), over characters.

    From single characters on, the two neighbours inside words that are found most often become one piece, until there
    are ``SYMBOLS``. Of equally frequent ones the last by alphabet goes first. Characters that ``lines`` have once or
    never are ``OTHER``.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        uses = Counter(word for line in lines for word in words_of(line))
        letters = Counter[str]()
        for word, count in uses.items():
            letters.update({letter: count * word.count(letter) for letter in set(word)})
        known = [letter for letter, count in sorted(letters.items()) if count > 1]
        self.merges: list[Merge] = []
        self._words = {word: list(word) for word in uses}
        found: Counter[Merge] = Counter()
        where: defaultdict[Merge, set[str]] = defaultdict(set)

        def tally(word: str, sign: int) -> None:
            for two in pairwise(self._words[word]):
                found[two] += sign * uses[word]
                where[two].add(word)

        for word in uses:
            tally(word, 1)
        while OTHER + 1 + len(known) < SYMBOLS and found:
            best = max(found, key=lambda two: (found[two], two))
            for word in where.pop(best):
                tally(word, -1)
                self._words[word] = merged(self._words[word], best)
                tally(word, 1)
            del found[best]
            self.merges.append(best)
            known.append(best[0] + best[1])
        self.numbers = {piece: number for number, piece in enumerate(known, OTHER + 1)}

    def split(self, line: str) -> list[str]:
        """The pieces of a line; joined, they are the line."""
        return [piece for word in words_of(line) for piece in self._pieces(word)]

    def _pieces(self, word: str) -> list[str]:
        if word not in self._words:
            pieces = list(word)
            for merge in self.merges:
                pieces = merged(pieces, merge)
            self._words[word] = pieces
        return self._words[word]

    def encode(self, line: str) -> list[int]:
        """The numbers of a line's pieces."""
        return [self.numbers.get(piece, OTHER) for piece in self.split(line)]


def tensors(found: Sequence[Pair], pieces: Pieces) -> Tensors:
    """Pairs by number: what is read [n, QUESTION + LENGTH], and the answers [n, LENGTH]; int64.

    Read are the question, set to the right, then ``ANSWER`` and all of the answer but its last piece. ``ANSWER`` is at
    place ``QUESTION``; from there on each place is to give the next piece of the answer, and at last ``END``.
    """
    read = torch.zeros(len(found), QUESTION + LENGTH, dtype=torch.int64)
    target = torch.zeros(len(found), LENGTH, dtype=torch.int64)
    for row, (asked, answered) in enumerate(found):
        question = [*pieces.encode(asked)[-QUESTION:], ANSWER]
        answer = [*pieces.encode(answered), END][:LENGTH]
        read[row, QUESTION + 1 - len(question) : QUESTION + 1] = torch.tensor(question)
        read[row, QUESTION + 1 : QUESTION + len(answer)] = torch.tensor(answer[:-1])
        target[row, : len(answer)] = torch.tensor(answer)
    return read, target


def split() -> tuple[list[Pair], list[Pair], list[Pair]]:
    """The different pairs, with all answers to a question in one split; fixed."""
    folder = "chatterbot_corpus/data/english"
    found = list(dict.fromkeys(pair for name in FILES for pair in pairs_of(WHEEL.read(f"{folder}/{name}.yml"))))
    questions = list(dict.fromkeys(question for question, _ in found))
    order = torch.randperm(len(questions), generator=torch.Generator().manual_seed(seed_of("chat"))).tolist()
    place = {questions[n]: rank for rank, n in enumerate(order)}
    validation, test = (
        [pair for pair in found if start <= place[pair[0]] < start + count]
        for start, count in ((0, VALIDATION), (VALIDATION, TEST))
    )
    return [pair for pair in found if place[pair[0]] >= VALIDATION + TEST], validation, test


def load() -> tuple[Tensors, Tensors, Tensors]:
    """862 pairs to train on, 153 to select by, 161 to confirm by.

    The corpus has 2,306 pairs, of which 1,176 differ: its 1,050 pairs of technical support are ten, repeated. 305
    of the 1,176 have a question, and 285 an answer, of more pieces than are read; these are cut.
    """
    train, validation, test = split()
    pieces = Pieces(line for pair in train for line in pair)
    return tensors(train, pieces), tensors(validation, pieces), tensors(test, pieces)


class Model(nn.Module):
    """A decoder of one block, 25,000 parameters, with a fifth left out in training: the data are few."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces, self.dropout = embedding(SYMBOLS, WIDTH), nn.Dropout(DROPOUT)
        self.block = Block(WIDTH, HEADS, QUESTION + LENGTH, causal=True, dropout=DROPOUT)
        self.norm, self.logits = Norm(WIDTH), nn.Linear(WIDTH, SYMBOLS)

    def forward(self, read: Tensor) -> Tensor:
        """Pieces [B, QUESTION + LENGTH] to logits of the answer's, [B, LENGTH, SYMBOLS]."""
        x = self.block(self.dropout(self.pieces(read)), hide(read == PAD))
        return self.logits(self.norm(x[:, QUESTION:]))


workload = Workload(
    name="chat",
    model=Model,
    data=load,
    loss=partial(cross_entropy, unscored=PAD),  # ``END`` is scored, too
    metric="perplexity",
    batch_size=32,
    steps=400,
    target=40.0,
    title="answers to questions, in pieces of words",
    stands_for="a chatbot",
    source="the English part of the ChatterBot corpus, chatterbot-corpus 1.3.3",
    licence="BSD-3-Clause",
    wheels=(WHEEL,),
    suites=("primer",),
)
