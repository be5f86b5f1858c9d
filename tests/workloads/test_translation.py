"""translation: names are read right, split by name, decoded greedily, scored by edit distance, and can be learnt."""

from __future__ import annotations

import gettext
import io
import itertools
import math
import struct
from functools import cache

import pytest
import torch
from torch import Tensor
from torch.func import vmap

from gradrace.errors import SpecError
from gradrace.workloads import translation
from gradrace.workloads.translation import BEGIN, END, LENGTH, LOST, OTHER, PAD, SYMBOLS, WHEEL, workload
from short_training import trained

Splits = tuple[tuple[Tensor, ...], ...]


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    return translation.read("hu")


@pytest.fixture(scope="module")
def splits() -> Splits:
    return translation.load()


def row(text: str, size: int = 7) -> list[int]:
    """A name as numbers, filled up behind its end."""
    codes = [OTHER + 1 + ord(letter) - ord("a") for letter in text]
    return [*codes, END, *[PAD] * size][: size + 1]


# --- reading ---


def test_names_are_those_of_the_catalogues(names: dict[str, str]) -> None:
    assert len(names) == 14_857
    assert (names["germany"], names["northern sami"], names["japanese"]) == ("németország", "északi számi", "japán")
    assert sum(english == other for english, other in names.items()) == 9_639
    assert all(name for pair in names.items() for name in pair)
    assert not any("\n" in name or name != name.lower() for pair in names.items() for name in pair)


def test_catalogues_are_read_as_gettext_reads_them() -> None:
    for name in translation.CATALOGUES:
        compiled = WHEEL.read(f"pycountry/locales/hu/LC_MESSAGES/{name}.mo")
        found, theirs = translation.catalogue(compiled), gettext.GNUTranslations(io.BytesIO(compiled))
        assert len(found) > 30
        assert found == {english: theirs.gettext(english) for english in found}


@pytest.mark.parametrize("order", ["<", ">"])
def test_headers_and_plural_forms_of_a_catalogue_are_not_names(order: str) -> None:
    entries = [("", "Content-Type: text/plain; charset=UTF-8\n"), ("Day\0Days", "Nap\0Napok"), ("Sun", "Vasárnap")]
    tables, texts = b"", b""
    for side in zip(*entries, strict=True):
        for text in side:
            tables += struct.pack(f"{order}2I", len(text.encode()), 28 + 16 * len(entries) + len(texts))
            texts += text.encode() + b"\0"
    head = struct.pack(f"{order}7I", 0x950412DE, 0, len(entries), 28, 28 + 8 * len(entries), 0, 0)
    compiled = head + tables + texts
    assert gettext.GNUTranslations(io.BytesIO(compiled)).gettext("Sun") == "Vasárnap"
    assert translation.catalogue(compiled) == {"Sun": "Vasárnap"}


def test_pairs_that_are_the_same_or_long_are_left_out(names: dict[str, str]) -> None:
    pairs, alphabet = translation.pairs_of(names)
    assert len(pairs) == 3_999
    assert len({english for english, _ in pairs}) == len(pairs)
    assert all(english != other for english, other in pairs)
    assert max(len(name) for pair in pairs for name in pair) == LENGTH
    assert len(alphabet) == len(set(alphabet)) == 58
    assert set("abcdefghijklmnopqrstuvwxyzáéíóöőú ,-()") <= set(alphabet)
    assert {letter for pair in pairs for letter in "".join(pair)} <= {*alphabet, LOST}
    assert sum(LOST in "".join(pair) for pair in pairs) == 84


def test_rare_letters_lose_their_accents_and_rare_signs_are_one() -> None:
    assert translation.plain("ạb†ű", "abu") == f"ab{LOST}u"
    assert translation.alphabet_of(["ab"] * 50 + ["ac"] * 49) == "ab"


def test_an_unknown_language_and_one_without_an_alphabet_are_refused() -> None:
    with pytest.raises(SpecError, match="no names in the language 'xx'; it must be a code such as 'hu', 'uk'"):
        translation.read("xx")
    with pytest.raises(SpecError, match="language 'ko' have characters that few others have; it must be one that"):
        translation.load("ko")


def test_another_language_is_another_workload() -> None:
    other = translation.make("uk")
    assert (workload.name, other.name) == ("translation", "translation-uk")
    assert translation.make("pt_BR").name == "translation-pt-br"
    assert other.data is not None
    pairs, alphabet = translation.pairs_of(translation.read("uk"))
    assert len(pairs) == 13_226
    assert "ї" in alphabet
    assert len(alphabet) == SYMBOLS - OTHER - 1
    assert [len(part[0]) for part in other.data()] == [12_842, 192, 192]


# --- splits ---


def test_no_english_name_is_in_two_splits(splits: Splits) -> None:
    assert [len(part[0]) for part in splits] == [3_615, 192, 192]
    sources = [{tuple(name) for name in part[0].tolist()} for part in splits]
    assert sum(map(len, sources)) == len(set().union(*sources)) == 3_999


def test_tensors_are_the_names(splits: Splits) -> None:
    source, shifted, target = translation.tensors([("ab", "bca"), ("c", "a?")], "abc")
    assert source[:, :3].tolist() == [[4, 5, PAD], [6, PAD, PAD]]
    assert target[:, :5].tolist() == [[5, 6, 4, END, PAD], [4, OTHER, END, PAD, PAD]]
    assert shifted[:, :5].tolist() == [[BEGIN, 5, 6, 4, END], [BEGIN, 4, OTHER, END, PAD]]
    for source, shifted, target in splits:
        assert source.shape[1] == LENGTH
        assert shifted.shape == target.shape == (len(source), LENGTH + 1)
        assert ((target == END).sum(1) == 1).all()
        assert int(target.max()) < SYMBOLS


def test_copying_the_english_name_is_wrong_in_half_of_all_characters(splits: Splits) -> None:
    source, _, target = splits[2]
    copied = torch.nn.functional.pad(source, (0, 1)).scatter(1, (source != PAD).sum(1, keepdim=True), END)
    assert float(translation.character_error_rate(copied, target)) == pytest.approx(0.50, abs=0.005)


# --- scores ---


def test_edit_distance_by_hand() -> None:
    pairs = [
        ("kitten", "sitting", 3),
        ("sunday", "saturda", 4),
        ("", "abc", 3),
        ("abc", "", 3),
        ("", "", 0),
        ("abcdefg", "abcdefg", 0),
        ("abcdefg", "bcdefg", 1),
        ("ab", "ba", 2),
    ]
    names, others = torch.tensor([row(a) for a, _, _ in pairs]), torch.tensor([row(b) for _, b, _ in pairs])
    expected = [distance for *_, distance in pairs]
    assert translation.edit_distance(names, others).tolist() == expected
    assert translation.edit_distance(others, names).tolist() == expected
    characters = sum(len(other) for _, other, _ in pairs)
    assert float(translation.character_error_rate(names, others)) == pytest.approx(sum(expected) / characters)
    assert float(translation.wrong_names(names, others)) == pytest.approx(6 / 8)


def test_edit_distance_of_all_short_names_is_the_recursive_definition() -> None:
    @cache
    def distance(name: str, other: str) -> int:
        if not name or not other:
            return len(name) + len(other)
        changed = distance(name[1:], other[1:]) + (name[0] != other[0])
        return min(changed, distance(name[1:], other) + 1, distance(name, other[1:]) + 1)

    words = ["".join(letters) for size in range(5) for letters in itertools.product("ab", repeat=size)]
    pairs = list(itertools.product([*words, "abcab", "cacab"], words))
    names, others = (torch.tensor([row(pair[side]) for pair in pairs]) for side in (0, 1))
    expected = [distance(*pair) for pair in pairs]
    assert translation.edit_distance(names, others).tolist() == expected
    # What stands behind an end does not count, and a name may have none.
    names[:, 6:] = 9
    assert translation.edit_distance(names, others).tolist() == expected
    assert translation.edit_distance(torch.full((1, 8), 9), torch.tensor([row("ab")])).tolist() == [8]


def test_scores_of_several_trials_at_once() -> None:
    generator = torch.Generator().manual_seed(0)
    output = torch.randint(END, 7, (3, 20, 9), generator=generator)
    target = torch.cat([torch.randint(END, 7, (20, 8), generator=generator), torch.full((20, 1), END)], dim=1)
    for score in (translation.character_error_rate, translation.wrong_names):
        together = vmap(score, in_dims=(0, None))(output, target)
        assert together.tolist() == [float(score(one, target)) for one in output]


# --- the model ---


def test_greedy_decoding_with_kept_keys_is_the_argmax_of_the_whole(splits: Splits) -> None:
    torch.manual_seed(0)
    model, source = translation.Model().double(), splits[1][0][:50]
    with torch.no_grad():
        found = translation.translate(model, (source, splits[1][1][:50], splits[1][2][:50]))
        shifted = torch.nn.functional.pad(found[:, :-1], (1, 0), value=BEGIN)
        assert torch.equal(model(source, shifted).argmax(-1), found)
    assert len(torch.unique(found)) > 5


def test_logits_see_the_english_name_and_no_later_character(splits: Splits) -> None:
    torch.manual_seed(0)
    model = translation.Model().double()
    source, shifted = splits[1][0][:5], splits[1][1][:5]
    with torch.no_grad():
        output = model(source, shifted)
        later = shifted.clone()
        later[:, 3:] = OTHER
        assert torch.equal(model(source, later)[:, :3], output[:, :3])
        first = source.clone()
        first[:, 0] = OTHER
        assert not torch.isclose(model(first, shifted), output).all(-1).any()


def test_it_starts_near_ignorance_and_learns_quickly(splits: Splits) -> None:
    model, losses = trained(workload, splits[0], 60, 0.01)
    assert abs(losses[0] - math.log(SYMBOLS)) < 0.5
    batch = splits[1]
    with torch.no_grad():
        assert workload.loss is not None
        assert workload.loss(model(*batch[:-1]), batch[-1]) < 2.3
        rate = translation.character_error_rate(translation.translate(model, batch), batch[-1])
    assert rate < 0.85
    assert workload.scored_by.direction == "min"
    assert str(WHEEL) in workload.source
