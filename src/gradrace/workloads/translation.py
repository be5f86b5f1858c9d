"""translation: names of languages, places, currencies and scripts from English to Hungarian, by an encoder and decoder.

``make`` gives the same workload for another language of the wheel.
"""

from __future__ import annotations

import struct
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from gradrace.data import Wheel
from gradrace.errors import DataError, SpecError
from gradrace.randomness import seed_of
from gradrace.workloads._base import Workload
from gradrace.workloads._metrics import Metric
from gradrace.workloads._transformer import Attention, Block, FeedForward, Keys, Norm, cross_entropy, embedding, hide

WHEEL = Wheel(
    project="pycountry",
    version="26.2.16",
    sha256="115c4baf7cceaa30f59a4694d79483c9167dbce7a9de4d3d571c5f3ea77c305a",
    megabytes=8,
    terms="The translations are Debian's iso-codes, under the LGPL 2.1.",
)
CATALOGUES = ("iso15924", "iso3166-1", "iso3166-2", "iso3166-3", "iso4217", "iso639-3", "iso639-5")

MAGIC = b"\xde\x12\x04\x95"
"""How a catalogue begins whose numbers are little-endian."""

PAD, BEGIN, END, OTHER = range(4)
SYMBOLS = 80
"""Symbols that the model knows: the four above and an alphabet."""
USES = 50
"""Names that a character must occur in to be in the alphabet."""
LENGTH = 20
"""Characters of the longest names."""
VALIDATION = TEST = 192
WIDTH, HEADS = 48, 3

LOST = "\ufffd"
"""What stands for every character that is not in the alphabet."""

Pair = tuple[str, str]
Tensors = tuple[Tensor, ...]


def catalogue(compiled: bytes) -> dict[str, str]:
    """The pairs of a compiled gettext catalogue (.mo) in UTF-8, without its header and without plural forms.

    Two tables, each of a size and a place for every text: https://www.gnu.org/software/gettext/manual/html_node/MO-Files.html.
    """
    order = "<" if compiled[:4] == MAGIC else ">"
    count, *tables = struct.unpack_from(f"{order}3I", compiled, 8)

    def text(table: int, number: int) -> str:
        size, place = struct.unpack_from(f"{order}2I", compiled, table + 8 * number)
        return compiled[place : place + size].decode()

    pairs = ((text(tables[0], number), text(tables[1], number)) for number in range(count))
    return {name: other for name, other in pairs if name and other and "\0" not in name}


def read(language: str) -> dict[str, str]:
    """English names and what they are in a language, in lower case; of several translations the first.

    Raises:
        DataError: the wheel cannot be had.
        SpecError: it has no catalogue in that language.
    """
    WHEEL.fetch()
    found: dict[str, str] = {}
    for name in CATALOGUES:
        try:
            compiled = WHEEL.read(f"pycountry/locales/{language}/LC_MESSAGES/{name}.mo")
        except DataError:  # most languages lack some catalogue
            continue
        for english, other in catalogue(compiled).items():
            found.setdefault(lower(english), lower(other))
    if not found:
        raise SpecError(
            f"There are no names in the language {language!r}; it must be a code such as 'hu', 'uk', 'fr' or 'pt_BR' "
            f"of the wheel {WHEEL}."
        )
    return found


def lower(name: str) -> str:
    """In lower case, composed (NFC), with single spaces."""
    return " ".join(unicodedata.normalize("NFC", name.lower()).split())


def alphabet_of(names: Iterable[str]) -> str:
    """The characters that at least ``USES`` names have, the most frequent first, as many as the model has room for."""
    uses = Counter(character for name in names for character in set(name))
    frequent = sorted((-count, character) for character, count in uses.items() if count >= USES)
    return "".join(character for _, character in frequent[: SYMBOLS - OTHER - 1])


def plain(name: str, alphabet: str) -> str:
    """A name in an alphabet: a rare letter loses its accents, and what is still rare is one same symbol, "�".

    >>> plain("brăila †", "abilr ")
    'braila �'
    """
    return "".join(
        character if character in alphabet else base if base in alphabet else LOST
        for character in name
        for base in unicodedata.normalize("NFD", character)[0]
    )


def pairs_of(names: dict[str, str]) -> tuple[list[Pair], str]:
    """The pairs to learn, in the order of the catalogues, and their alphabet. No English name comes twice.

    Left out are the names that are the same in both languages, as nearly two thirds of the Hungarian ones are: with
    them, copying every name would be an error rate of 0.14. And those longer than ``LENGTH`` in either language.
    """
    alphabet = alphabet_of([*names, *names.values()])
    known: dict[str, str] = {}
    for english, other in names.items():
        known.setdefault(plain(english, alphabet), plain(other, alphabet))
    kept = [(a, b) for a, b in known.items() if a != b and max(len(a), len(b)) <= LENGTH]
    return kept, alphabet


def tensors(found: Sequence[Pair], alphabet: str) -> Tensors:
    """Names by number: English [n, LENGTH], the other shifted by one place and the other, [n, LENGTH + 1]; int64.

    The other name ends in ``END``; shifted, it begins with ``BEGIN``. Places behind a name are ``PAD``.
    """
    numbers = {character: number for number, character in enumerate(alphabet, OTHER + 1)}
    source = torch.zeros(len(found), LENGTH, dtype=torch.int64)
    target = torch.zeros(len(found), LENGTH + 1, dtype=torch.int64)
    for row, (english, other) in enumerate(found):
        source[row, : len(english)] = torch.tensor([numbers.get(character, OTHER) for character in english])
        target[row, : len(other)] = torch.tensor([numbers.get(character, OTHER) for character in other])
        target[row, len(other)] = END
    return source, functional.pad(target[:, :-1], (1, 0), value=BEGIN), target


def load(language: str = "hu") -> tuple[Tensors, Tensors, Tensors]:
    """All pairs but 384 to train on, 192 to select by, 192 to confirm by; the split is fixed for each language.

    Of 14,855 English names, 9,651 are the same in Hungarian and 1,205 of the others are long; 3,999 stay, of which 84
    have a character outside the alphabet of 58. Copying the English name has an error rate of 0.50 on the test split.

    Raises:
        DataError: the wheel cannot be had.
        SpecError: it has no such language, or most of its names are outside the alphabet.
    """
    found, alphabet = pairs_of(read(language))
    if sum(LOST in other for _, other in found) > len(found) / 2:
        raise SpecError(
            f"Most names in the language {language!r} have characters that few others have; it must be one that is "
            f"written in an alphabet of at most {SYMBOLS - OTHER - 1} characters, such as 'hu', 'uk' or 'fr'."
        )
    generator = torch.Generator().manual_seed(seed_of("translation", language))
    order = torch.randperm(len(found), generator=generator).tolist()
    cuts = slice(None, -VALIDATION - TEST), slice(-VALIDATION - TEST, -TEST), slice(-TEST, None)
    train, validation, test = (tensors([found[n] for n in order[cut]], alphabet) for cut in cuts)
    return train, validation, test


class Model(nn.Module):
    """An encoder and a decoder of one block each, 59,000 parameters.

    An English place begins with what its character and its two neighbours say; the decoder's attention to the encoder
    starts by looking at places like its own, as names keep their order more often than not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.characters = embedding(SYMBOLS, WIDTH)
        self.before, self.behind = nn.Linear(WIDTH, WIDTH, bias=False), nn.Linear(WIDTH, WIDTH, bias=False)
        self.encoder, self.encoded = Block(WIDTH, HEADS, LENGTH, causal=False), Norm(WIDTH)
        self.norms = nn.ModuleList([Norm(WIDTH) for _ in range(4)])
        self.own = Attention(WIDTH, HEADS, LENGTH, causal=True)
        self.across = Attention(WIDTH, HEADS, LENGTH, causal=False, slope=0.3)
        self.feed_forward, self.logits = FeedForward(WIDTH), nn.Linear(WIDTH, SYMBOLS)

    def forward(self, english: Tensor, shifted: Tensor | None = None) -> Tensor:
        """Logits of each next character; without ``shifted``, the translation itself.

        Args:
            english: names, [B, LENGTH].
            shifted: their translations, shifted by one place, [B, LENGTH + 1].

        Returns:
            Logits [B, LENGTH + 1, SYMBOLS], or the characters of ``decoded``, [B, LENGTH + 1].
        """
        hidden = hide(english == PAD)
        x = self.characters(english)
        before, behind = functional.pad(x[:, :-1], (0, 0, 1, 0)), functional.pad(x[:, 1:], (0, 0, 0, 1))
        seen = self.encoded(self.encoder(x + self.before(before) + self.behind(behind), hidden))
        keys = self.across.keys(seen)
        if shifted is None:
            return self.decoded(english, keys, hidden)
        x = self.characters(shifted)
        return self._decoder(x, self.own.keys(self.norms[0](x)), keys, hidden)

    def _decoder(self, x: Tensor, past: Keys, keys: Keys, hidden: Tensor, first: int = 0) -> Tensor:
        """Logits of the places ``x`` [B, T, WIDTH] from ``first`` on, where ``past`` has the keys up to the last."""
        x = x + self.own(self.norms[0](x), past, first)
        x = x + self.across(self.norms[1](x), keys, first, hidden)
        return self.logits(self.norms[3](x + self.feed_forward(self.norms[2](x))))

    def decoded(self, english: Tensor, keys: Keys, hidden: Tensor) -> Tensor:
        """The likeliest character at each place, given those chosen before it (greedy decoding), [B, LENGTH + 1].

        All places are filled; a name ends before its first ``END``. Keys of earlier places are kept, not made again.
        """
        chosen = [torch.full_like(english[:, :1], BEGIN)]
        past: list[Keys] = []
        for place in range(LENGTH + 1):
            x = self.characters(chosen[-1])
            past.append(self.own.keys(self.norms[0](x)))
            so_far = torch.cat([key for key, _ in past], dim=2), torch.cat([value for _, value in past], dim=2)
            chosen.append(self._decoder(x, so_far, keys, hidden, place).argmax(-1))
        return torch.cat(chosen[1:], dim=1)


def translate(call: Callable[..., Tensor], batch: Tensors) -> Tensor:
    """The model's own translations of a batch, [B, LENGTH + 1]."""
    return call(batch[0])


def lengths(names: Tensor) -> Tensor:
    """Characters before the first ``END``, all if there is none: [n, T] to [n]."""
    return ((names == END).cumsum(-1) == 0).sum(-1)


def edit_distance(names: Tensor, others: Tensor) -> Tensor:
    """The least number of characters to insert, delete or replace that makes one name the other (Levenshtein 1966).

    Row i of the table of Wagner and Fischer 1974 (https://doi.org/10.1145/321796.321811) follows from row i - 1 for all
    names and all columns at once. What an insertion adds along a row, ``row[j] = min over k <= j of (above[k] + j -
    k)``, is a running minimum of ``above[k] - k``.

    Args:
        names: [n, S], each up to its first ``END``.
        others: [n, T], likewise.

    Returns:
        int64, [n].
    """
    columns = torch.arange(others.shape[1] + 1, device=others.device)
    row = columns.expand(others.shape[0], -1)
    size, end = lengths(names), lengths(others).unsqueeze(-1)
    distance = row.gather(-1, end)
    for place in range(names.shape[1]):
        replaced = row[:, :-1] + (names[:, place : place + 1] != others)
        above = torch.cat([row[:, :1] + 1, torch.minimum(replaced, row[:, 1:] + 1)], dim=-1)
        row = (above - columns).cummin(-1).values + columns
        distance = torch.where(size.unsqueeze(-1) == place + 1, row.gather(-1, end), distance)
    return distance.squeeze(-1)


def character_error_rate(output: Tensor, target: Tensor) -> Tensor:
    """Edit distance of all translations from the right ones, for each character of the right ones."""
    return edit_distance(output, target).sum().to(torch.float64) / lengths(target).sum()


def wrong_names(output: Tensor, target: Tensor) -> Tensor:
    """Share of names with any error."""
    return (edit_distance(output, target) > 0).to(torch.float64).mean()


def make(language: str = "hu") -> Workload:
    """The workload for a language, given by its code in the wheel: ``"hu"``, ``"uk"``, ``"fr"``, ``"pt_BR"``, ...

    It is meant for languages that are written in an alphabet. What the language is shows when the data are loaded.
    """
    return Workload(
        name="translation" if language == "hu" else f"translation-{language.lower().replace('_', '-')}",
        model=Model,
        data=partial(load, language),
        loss=partial(cross_entropy, unscored=PAD),  # ``END`` is scored, too
        metric=Metric("character_error_rate", character_error_rate, "min"),
        predict=translate,
        others={"wrong": wrong_names},
        batch_size=24,
        steps=600,
        evaluations=8,  # names are decoded at each
        target=0.35,
        title=f"names from English to {'Hungarian' if language == 'hu' else f'the language {language!r}'}",
        stands_for="translation",
        source="Debian's iso-codes, as shipped with pycountry 26.2.16: languages, places, currencies and scripts",
        licence="LGPL-2.1",
        wheels=(WHEEL,),
        suites=("primer",) if language == "hu" else (),
    )


workload = make()
