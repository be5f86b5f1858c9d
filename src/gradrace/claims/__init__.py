"""Published statements about optimizers, one file each, and the races that could refute them."""

from gradrace.claims._base import Asked, Check, Claim, Decided, decide
from gradrace.claims._checked import FILE_KINDS, check_claim
from gradrace.claims._found import claim, claims
from gradrace.claims._judge import above, below, better, less, not_worse, within
from gradrace.claims._raced import Raced
from gradrace.claims._settle import ClaimsResult, Settled, settle

__all__ = [
    "FILE_KINDS",
    "Asked",
    "Check",
    "Claim",
    "ClaimsResult",
    "Decided",
    "Raced",
    "Settled",
    "above",
    "below",
    "better",
    "check_claim",
    "claim",
    "claims",
    "decide",
    "less",
    "not_worse",
    "settle",
    "within",
]
