"""What a race grants its lanes. None of it changes what comes out."""

from __future__ import annotations

from dataclasses import dataclass

from gradrace.errors import SpecError

PATIENCE = 1800.0
SAVE_EVERY = 60.0


@dataclass(frozen=True)
class Limits:
    """How long a lane may be silent, and how often a long block is saved.

    Attributes:
        trial_timeout: seconds that a lane may train without any headway; then it is stopped, and which of its trials
            hangs is found out.
        save_every: seconds between two savings of a block under way; 0 for none.

    Raises:
        SpecError: a number that is not allowed.
    """

    trial_timeout: float = PATIENCE
    save_every: float = SAVE_EVERY

    def __post_init__(self) -> None:
        if not self.trial_timeout > 0:
            raise SpecError(f"The time limit of a trial is {self.trial_timeout:g} seconds, but must be more than 0.")
        if not self.save_every >= 0:
            raise SpecError(
                f"Blocks are to be saved every {self.save_every:g} seconds, but that must be at least 0 (never)."
            )
