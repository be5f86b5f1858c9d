"""The memory of a vectorized block: a row for each trial, in chunks of equal size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class Chunks:
    """Parameters [trials, P] laid out in chunks.

    The last chunk is filled up with copies of the first trial, which nothing looks at.

    Attributes:
        memory: all rows, those of the copies too.
        flat: the rows of the trials: a part of the same memory.
        slices: which rows of ``memory`` each chunk has.
    """

    def __init__(self, params: Tensor, size: int = 0) -> None:
        """``size``: trials of a chunk; 0 for all in one."""
        size = size or max(1, len(params))
        self.memory, self.flat = params, params
        if spare := -len(params) % size:
            self.memory = torch.cat([params, params[:1].expand(spare, -1)])
            self.flat = self.memory[: len(params)]
        self.slices = [slice(start, start + size) for start in range(0, len(self.memory), size)]

    @property
    def single(self) -> bool:
        """Whether there is one chunk, without copies."""
        return len(self.slices) == 1 and len(self.memory) == len(self.flat)

    def apart(self, tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        """Tensors [trials, ...], a chunk at a time."""
        spare = len(self.memory) - len(self.flat)
        whole = {n: torch.cat([t, t[:1].expand(spare, *t.shape[1:])]) if spare else t for n, t in tensors.items()}
        return [{name: tensor[chunk] for name, tensor in whole.items()} for chunk in self.slices]

    def whole(self, chunks: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
        """What ``apart`` took apart, for each trial."""
        names = chunks[0] if chunks else ()
        return {name: torch.cat([chunk[name] for chunk in chunks])[: len(self.flat)] for name in names}
