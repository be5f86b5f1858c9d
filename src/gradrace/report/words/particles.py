"""Korean particles after names and numbers: which of two forms follows depends on how the last syllable is read."""

from __future__ import annotations

import re

PAIRS = ("은/는", "이/가", "을/를", "과/와")
"""The particles that depend on nothing but whether the syllable before ends in a consonant: that form comes first."""

_BRACKETED = re.compile(r"\s*(\([^()]*\)|\[[^\[\]]*\])\s*$")
_CLOSED_DIGITS = "013678"  # 영, 일, 삼, 육, 칠, 팔; tens, hundreds and thousands end in 0 and are closed, too
_CLOSED_WORD = re.compile(r"([lmn]e?|ng|mb|ck|(?<![aeiou])[aeiou][bckpt])$")
_CLOSED_LETTERS = "lmnr"  # 엘, 엠, 엔, 알


class Name(str):
    """A text that knows its particles: ``f"{Name('모멘텀'):은/는}"`` is ``모멘텀은``. Without a format it is itself."""

    def __format__(self, pair: str) -> str:
        return f"{self}{particle(self, pair)}" if pair else str(self)


def particle(word: str, pair: str) -> str:
    """The form of a particle that follows a word.

    What stands in brackets at the end is not read. A syllable of Hangul shows its final consonant. A digit is read in
    Sino-Korean: 0, 1, 3, 6, 7 and 8 end in a consonant. Latin words are read as loanwords, by rule of thumb: closed are
    those on l, m, n (also before a silent e), ng, mb, ck, and on b, c, k, p, t after a single vowel (``rmsprop`` is 롭,
    ``soap`` is 소프). What has no vowel is spelled, and closed on l, m, n and r (엘, 엠, 엔, 알), which holds for a
    single letter, too. Where nothing can be read, both forms are given: ``은(는)``.

    >>> [f"{word}{particle(word, '은/는')}" for word in ("모멘텀", "옵티마이저", "adam", "sgd", "lr", "rmsprop (2)")]
    ['모멘텀은', '옵티마이저는', 'adam은', 'sgd는', 'lr은', 'rmsprop (2)은']

    Args:
        word: what the particle follows.
        pair: one of ``PAIRS``.

    Raises:
        ValueError: the pair is another.
    """
    if pair not in PAIRS:
        raise ValueError(f"'{pair}' is no pair of particles; there are {', '.join(PAIRS)}.")
    after_consonant, after_vowel = pair.split("/")
    read = re.findall(r"[가-힣]|[0-9]|%|[a-z]+", _BRACKETED.sub("", word.lower()))
    if not read:
        return f"{after_consonant}({after_vowel})"
    return after_consonant if _closed(read[-1]) else after_vowel


def _closed(last: str) -> bool:
    if "가" <= last <= "힣":
        return (ord(last) - ord("가")) % 28 > 0
    if last == "%":  # 퍼센트
        return False
    if last.isdigit():
        return last in _CLOSED_DIGITS
    if not re.search("[aeiouy]", last) or len(last) == 1:
        return last[-1] in _CLOSED_LETTERS
    return _CLOSED_WORD.search(last) is not None
