"""How far every rule gets on the four problems of ``gradrace check``: ``python benchmarks/conformance.py``.

By what factor the distance to the known minimum shrank, at the best of a few learning rates of the rule's own space, in
float32, and at that learning rate in float64.
"""

from __future__ import annotations

import torch

from gradrace.check.problems import PROBLEMS
from gradrace.check.runs import best_gap
from gradrace.check.stepping import gap_at
from gradrace.optimizers import optimizers


def shrank(gap: float) -> str:
    """The factor, or that nothing was left."""
    return "nothing left" if gap == 0 else f"{1 / gap:.2g}"


def main() -> None:
    torch.set_num_threads(1)
    needed = [f"{name} ({make(torch.float32).factor:g} needed)" for name, make in PROBLEMS.items()]
    print(f"| rule | {' | '.join(needed)} |\n|{'---|' * (1 + len(PROBLEMS))}")
    for name, optimizer in optimizers().items():
        cells = []
        for problem, make in PROBLEMS.items():
            rate, gap = best_gap(optimizer, make(torch.float32))
            again = float(gap_at(optimizer, make(torch.float64), rate))
            exempt = " (exempt)" if problem in optimizer.exempt else ""
            cells.append(f"{shrank(gap)} / {shrank(again)}{exempt}")
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
