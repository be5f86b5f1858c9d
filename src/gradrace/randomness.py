"""Seeds. Everything random in a race is a function of (race seed, study, trial seed, purpose, step) alone.

Never of the contender, of how many lanes there are, of a block's size or of who finished first: that pairs the
contenders and lets a killed race resume bit for bit.
"""

from __future__ import annotations

import hashlib

Stream = tuple[int, int, int]
"""(race seed, study, trial seed): one stream of initial weights, batches and masks, shared by all contenders."""


def seed_of(*words: int | str) -> int:
    """A 63-bit seed from a tuple of words, by BLAKE2b: equal words give equal seeds on every machine.

    >>> seed_of(0, 1, "points") == seed_of(0, 1, "points")
    True
    >>> seed_of(0, 1, "points") == seed_of(0, 2, "points")
    False
    """
    text = "\x1f".join(f"{type(word).__name__}:{word}" for word in words)
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
