"""An optimizer that was changed is not worse than it was before: what the workflow beside this file runs."""

from __future__ import annotations

import os

from gradrace import Contender
from gradrace.testing import assert_not_worse


def test_it_is_not_worse_than_before() -> None:
    assert_not_worse(
        Contender("my_optimizer.py", "new"),
        Contender("baseline.py", "old"),
        "digits",
        budget=os.environ.get("BUDGET", "quick"),
        share=0.1,  # worse by a tenth of what is learnt is too much
        undecided="warn",  # a quick race often cannot tell; "fail" asks for proof, and for a larger budget
    )
