"""What the machine can do: float32 products of two 2048 × 2048 matrices, on one thread of each core.

It counts GFLOP where other workers count trial-steps.
"""

from __future__ import annotations

from typing import Any

import torch

from ._workers import Chunk, serve

SIZE = 2048


def prepare() -> tuple[Chunk, dict[str, Any]]:
    """Two matrices, multiplied once."""
    torch.set_num_threads(1)
    left, right = torch.randn(2, SIZE, SIZE)
    product = left @ right

    def chunk() -> int:
        torch.mm(left, right, out=product)
        return round(2 * SIZE**3 / 1e9)

    return chunk, {}


if __name__ == "__main__":
    serve(prepare)
