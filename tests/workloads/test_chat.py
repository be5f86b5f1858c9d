"""chat: conversations are read right, split by question, cut into pieces that lose nothing, and can be learnt."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from gradrace.workloads import chat
from gradrace.workloads.chat import (
    ANSWER,
    END,
    FILES,
    LENGTH,
    OTHER,
    PAD,
    QUESTION,
    SYMBOLS,
    WHEEL,
    Pair,
    Pieces,
    workload,
)
from short_training import trained

Splits = tuple[tuple[Tensor, ...], ...]


@pytest.fixture(scope="module")
def pairs() -> dict[str, list[Pair]]:
    return {name: chat.pairs_of(WHEEL.read(f"chatterbot_corpus/data/english/{name}.yml")) for name in FILES}


@pytest.fixture(scope="module")
def split() -> tuple[list[Pair], ...]:
    return chat.split()


@pytest.fixture(scope="module")
def pieces(split: tuple[list[Pair], ...]) -> Pieces:
    return Pieces(line for pair in split[0] for line in pair)


@pytest.fixture(scope="module")
def splits(split: tuple[list[Pair], ...], pieces: Pieces) -> Splits:
    return tuple(chat.tensors(part, pieces) for part in split)


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    assert workload.loss is not None
    return workload.loss(output, target)


def test_pairs_are_those_of_the_corpus(pairs: dict[str, list[Pair]]) -> None:
    assert {name: len(found) for name, found in pairs.items() if len(found) > 200} == {
        "emotion": 207,
        "tech_support": 1050,
        "trivia": 260,
    }
    assert pairs["food"][0] == ("do you drink", "my brain does not require any beverages.")
    everything = [pair for found in pairs.values() for pair in found]
    assert (len(everything), len(set(everything))) == (2_306, 1_176)
    assert all(len(line) > 0 and line == line.lower() and "  " not in line for pair in everything for line in pair)


def test_lines_are_paired_with_the_next_and_a_lone_line_is_no_conversation() -> None:
    corpus = b"categories:\n- x\nconversations:\n- - Hi  there\n  - It\xe2\x80\x99s you\n  - 3\n- Lone line\n"
    assert chat.pairs_of(corpus) == [("hi there", "it's you"), ("it's you", "3")]


def test_no_question_is_in_two_splits_and_every_pair_in_one(
    pairs: dict[str, list[Pair]], split: tuple[list[Pair], ...]
) -> None:
    assert [len(part) for part in split] == [862, 153, 161]
    assert {pair for part in split for pair in part} == {pair for found in pairs.values() for pair in found}
    questions = [{question for question, _ in part} for part in split]
    assert sum(map(len, questions)) == len(set().union(*questions))


def test_pieces_are_those_of_the_papers_example() -> None:
    words = {"low": 5, "lower": 2, "newest": 6, "widest": 3}
    found = Pieces([" ".join([word] * count) for word, count in words.items()])
    assert found.merges[:2] == [("s", "t"), ("e", "st")]  # both nine times; of the first two the last by alphabet
    assert "".join(found.split("low lower")) == "low lower"


def test_merges_are_the_most_frequent_neighbours_counted_anew_each_time(split: tuple[list[Pair], ...]) -> None:
    lines = [line for pair in split[0][:60] for line in pair]
    found, words = Pieces(lines), Counter(word for line in lines for word in chat.words_of(line))
    splitted = {word: list(word) for word in words}
    for merge in found.merges[:40]:
        uses: Counter[tuple[str, str]] = Counter()
        for word, count in words.items():
            for two in pairwise(splitted[word]):
                uses[two] += count
        assert merge == max(uses, key=lambda two: (uses[two], two))
        splitted = {word: chat.merged(parts, merge) for word, parts in splitted.items()}


def test_overlapping_neighbours_are_merged_from_the_left() -> None:
    assert chat.merged(list("aaa"), ("a", "a")) == ["aa", "a"]
    assert chat.merged(list("abab"), ("a", "b")) == ["ab", "ab"]


def test_pieces_lose_nothing_and_come_from_the_training_split_alone(
    split: tuple[list[Pair], ...], pieces: Pieces
) -> None:
    assert len(pieces.numbers) == SYMBOLS - OTHER - 1
    assert sorted(pieces.numbers.values()) == list(range(OTHER + 1, SYMBOLS))
    for part in split:
        for line in {line for pair in part for line in pair}:
            assert "".join(pieces.split(line)) == line
    held_out = [number for part in split[1:] for pair in part for line in pair for number in pieces.encode(line)]
    assert held_out.count(OTHER) < 10
    assert sum(len(line) for pair in split[1] for line in pair) > 1.8 * sum(
        len(pieces.encode(line)) for pair in split[1] for line in pair
    )


def test_tensors_are_the_pairs_with_answers_from_one_place_on(pieces: Pieces, splits: Splits) -> None:
    asked, answered = pieces.encode("what is it"), pieces.encode("a robot")
    (read,), (target,) = chat.tensors([("what is it", "a robot")], pieces)
    assert read[QUESTION] == ANSWER
    assert read[QUESTION - len(asked) : QUESTION].tolist() == asked
    assert read[QUESTION + 1 : QUESTION + 1 + len(answered)].tolist() == answered
    assert target[: len(answered) + 1].tolist() == [*answered, END]
    assert (read == PAD).sum() == QUESTION + LENGTH - 1 - len(asked) - len(answered)
    for read, target in splits:
        assert read.shape[1] == QUESTION + LENGTH
        assert (read[:, QUESTION] == ANSWER).all()
        inner = target[:, :-1] * (target[:, 1:] != PAD)
        assert torch.equal(read[:, QUESTION + 1 :], inner)


def test_long_lines_are_cut(pieces: Pieces) -> None:
    line = "the red robot has no body " * 9
    numbers = pieces.encode(line.strip())
    (read,), (target,) = chat.tensors([(line.strip(), line.strip())], pieces)
    assert read[:QUESTION].tolist() == numbers[-QUESTION:]
    assert target.tolist() == numbers[:LENGTH]


def test_padding_before_a_question_and_behind_an_answer_changes_nothing(splits: Splits) -> None:
    torch.manual_seed(0)
    model, (read, target) = chat.Model().double().eval(), (tensor[:30] for tensor in splits[1])
    with torch.no_grad():
        output = model(read)
        for row in range(30):
            begin, size = int((read[row] != PAD).nonzero()[0]), int((target[row] != PAD).sum())
            alone = model.pieces(read[row : row + 1, begin : QUESTION + size])
            alone = model.logits(model.norm(model.block(alone)[:, QUESTION - begin :]))
            assert torch.allclose(alone[0], output[row, :size], rtol=1e-9)
        whole = torch.nn.functional.cross_entropy(output[target != PAD], target[target != PAD])
    assert torch.isclose(loss_of(output, target), whole)


def test_it_starts_near_ignorance_and_learns_quickly(splits: Splits) -> None:
    model, losses = trained(workload, splits[0], 80, 0.02)
    assert abs(losses[0] - math.log(SYMBOLS)) < 0.5
    read, target = splits[1]
    with torch.no_grad():
        perplexity = loss_of(model(read), target).exp()
    assert perplexity < 80  # pieces one by one, without their order, have 144
    assert workload.scored_by.of_loss is not None
    assert float(workload.scored_by.of_loss(torch.tensor(math.log(5)))) == pytest.approx(5)
