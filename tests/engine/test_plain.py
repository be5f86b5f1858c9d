"""PyTorch's functions in plain operations do what its own do, and are there for a while only."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from agreement import assert_agree, setup
from gradrace.engine import plain
from gradrace.engine.loop import Loop
from gradrace.engine.trial import Training
from gradrace.engine.vectorized import Vectorized
from gradrace.workloads import Workload

X = torch.randn(3, 4, 5, generator=torch.Generator().manual_seed(1))
LAYOUTS = {
    "row after row": X,
    "turned": X.transpose(1, 2),
    "turned thrice": X.permute(2, 0, 1),
    "a slice": X[:, 1:3],
    "a row": X[0, 0],
    "a number": X[0, 0, 0],
}


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout_draws_the_masks_of_pytorch(name: str, p: float) -> None:
    for training in (True, False):
        for inplace in (True, False):
            results = []
            for function in (functional.dropout, plain._dropout):
                x = LAYOUTS[name].clone(memory_format=torch.preserve_format)
                torch.manual_seed(5)
                results.append((function(x, p, training, inplace), x, torch.rand(2)))
            for found, expected in zip(results[1], results[0], strict=True):
                assert torch.allclose(found, expected, rtol=1e-6, atol=0)  # divided first, or multiplied first


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 5), (4, 3, 2, 5)])
@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}, {"momentum": 0.7}])
def test_batch_norm_and_its_averages(shape: tuple[int, ...], options: dict[str, object]) -> None:
    kind = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d}[len(shape)]
    own, other = (kind(3, **options).double() for _ in range(2))
    other.load_state_dict(copy.deepcopy(own.state_dict()))
    for training in (True, True, False):
        x = torch.randn(shape, dtype=torch.float64)
        own.train(training)
        other.train(training)
        with plain.plain_functions():
            found = own(x)
        assert torch.allclose(found, other(x), rtol=1e-12, atol=1e-12)
        for name, tensor in other.state_dict().items():
            assert torch.allclose(own.state_dict()[name], tensor, rtol=1e-12), name


def test_pytorchs_own_come_back_after_an_error() -> None:
    original = functional.dropout, functional.batch_norm
    context = plain.plain_functions()
    context.__enter__()
    assert (functional.dropout, functional.batch_norm) == (plain._dropout, plain._batch_norm)
    assert not context.__exit__(KeyError, KeyError(), None)
    assert (functional.dropout, functional.batch_norm) == original


class Turned(nn.Module):
    """Dropout of what does not lie row after row."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(functional.dropout(self.first(x).transpose(1, 2), 0.3, self.training).mean(1))


@pytest.mark.parametrize("compiling", ["never", "always"])
def test_turned_tensors_have_the_loops_masks(compiling: str) -> None:
    inputs = torch.randn(40, 4, 5, generator=torch.Generator().manual_seed(2))
    data = {"train": (inputs, inputs.mean((1, 2)).unsqueeze(1)), "validation": 0.2, "test": 0.2}
    task = Workload("own", Turned, functional.mse_loss, metric="mae", batch_size=8, **data)
    setups, training = [setup("adam", {"lr": 0.01}, (0, 0, 1))] * 2, Training(20, 8, dtype=torch.float64)
    found = Vectorized(task, "always" if compiling == "always" else "never").start(setups, training)
    expected = Loop(task).start(setups, training)
    for until in (1, 8):
        assert_agree(found, expected, until)
