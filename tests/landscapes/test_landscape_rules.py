"""The page's script walks as the rules do in PyTorch, step by step."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from walked import WALK_ALL, gradient, run, walk_in_torch

from gradrace.landscapes import Landscapes
from gradrace.landscapes._script import rule_program
from gradrace.landscapes._unrolled import Unroller
from gradrace.landscapes.surfaces import surfaces
from gradrace.optim._trace import Untraceable, Value
from gradrace.optimizers import find, optimizers

TOLERANCE = 1e-9
DIVIDE_BY_A_LENGTH = {"lamb", "lars", "muon"}  # of two numbers, whose squares PyTorch adds otherwise
NOT_SHOWN = {"soap"}  # it turns into the eigenvectors of a matrix


@pytest.fixture(scope="module")
def landscapes() -> Landscapes:
    return Landscapes()


@pytest.fixture(scope="module")
def walks(landscapes: Landscapes) -> dict[str, Any]:
    """Every optimizer on two surfaces, one of them noisy."""
    return run(landscapes, WALK_ALL, surfaces=["valley", "noisy"], seed=3)


def agree(name: str, place: str, walked: dict[str, Any]) -> None:
    """The walk is the rule's, within ``TOLERANCE`` of the width of the map, for as long as rounding lets it."""
    surface = surfaces()[place]
    assert walked["diverged"] is None
    assert walked["count"] >= 200 or walked["count"] == surface.steps
    xs, ys = walked["x"], walked["y"]
    added = [(0.0, 0.0)] * surface.steps
    if surface.noise or min(surface.seen) < 1:
        slopes = [gradient_at(place, x, y) for x, y in zip(xs, ys, strict=True)]
        added = [
            (walked["gx"][step] - slopes[step - 1][0], walked["gy"][step] - slopes[step - 1][1])
            for step in range(1, walked["count"] + 1)
        ]
    hyper = walked["hyper"]
    path = walk_in_torch(optimizers()[name], surface, hyper, added, walked["count"])
    worst = max(math.dist(ours, theirs) for ours, theirs in zip(path, zip(xs, ys, strict=True), strict=True))
    assert worst <= TOLERANCE * surface.view[2]


def gradient_at(place: str, x: float, y: float) -> tuple[float, float]:
    return gradient(surfaces()[place], x, y)


@pytest.mark.parametrize("name", sorted(optimizers().keys() - NOT_SHOWN))
@pytest.mark.parametrize("place", ["valley", "noisy"])
def test_every_rule_walks_as_in_torch(name: str, place: str, walks: dict[str, Any]) -> None:
    agree(name, place, walks[f"{place} {name}"])


@pytest.mark.slow
@pytest.mark.parametrize("place", sorted(surfaces()))
def test_every_surface_is_walked_as_in_torch(place: str, landscapes: Landscapes) -> None:
    """All but those that divide by a length, of which the last bit grows where a walk is chaotic."""
    found = run(landscapes, WALK_ALL, surfaces=[place], seed=0)
    for name in landscapes.programs.keys() - DIVIDE_BY_A_LENGTH:
        agree(name, place, found[f"{place} {name}"])


def test_what_cannot_be_shown_is_told_with_the_reason(landscapes: Landscapes) -> None:
    assert landscapes.left_out.keys() == NOT_SHOWN
    assert landscapes.left_out["soap"] == "the operation remainder.Tensor"
    assert landscapes.programs.keys() == optimizers().keys() - NOT_SHOWN
    with pytest.raises(Untraceable, match="a step of its own class"):
        rule_program(find("torch.optim.NAdam"))


def test_matrices_are_moved_as_matrices(walks: dict[str, Any]) -> None:
    """Muon's steps have nearly one length, whatever the gradient; Adam's do not."""
    muon = walks["valley muon"]
    lengths = [math.hypot(x, y) for x, y in zip(muon["ux"][2:60], muon["uy"][2:60], strict=True)]
    adam = walks["valley adam"]
    others = [math.hypot(x, y) for x, y in zip(adam["ux"][2:60], adam["uy"][2:60], strict=True)]
    assert max(lengths) / min(lengths) < 3 < max(others) / min(others) / 3


def test_effective_steps_tell_the_rules_apart(walks: dict[str, Any]) -> None:
    sgd, adagrad, rmsprop = (walks[f"valley {name}"] for name in ("sgd", "adagrad", "rmsprop"))
    lr = sgd["hyper"]["lr"]
    assert sgd["ex"][1:] == pytest.approx([lr] * 200)
    assert sgd["ey"][1:] == pytest.approx([lr] * 200)
    assert sorted(adagrad["ex"][1:], reverse=True) == adagrad["ex"][1:]
    assert adagrad["ex"][200] < adagrad["ex"][1] / 2
    assert rmsprop["ex"][200] > 1.5 * min(rmsprop["ex"][1:])
    # Of the first step worked by hand: AdaGrad divides a gradient by its own size.
    assert adagrad["ex"][1] == pytest.approx(adagrad["hyper"]["lr"] / abs(adagrad["gx"][1]))


def test_on_noise_adagrad_goes_on_falling_and_rmsprop_does_not(walks: dict[str, Any]) -> None:
    falls = {
        name: walks[f"noisy {name}"]["ex"][320] / walks[f"noisy {name}"]["ex"][160] for name in ("adagrad", "rmsprop")
    }
    assert falls["adagrad"] < 0.85 < falls["rmsprop"]


def test_the_dice(landscapes: Landscapes) -> None:
    """Standard normal, uniform, the same for all, and different for another seed and another step."""
    code = "const { noise, chance } = dice(asked.seed, 20000); answer([[...noise[0]], [...noise[1]], [...chance]]);"
    one, again, other = (torch.tensor(run(landscapes, code, seed=seed))[:, 1:] for seed in (0, 0, 1))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert one[:2].mean(dim=1).abs().max() < 0.03
    assert (one[:2].std(dim=1) - 1).abs().max() < 0.03
    assert abs(float((one[0] * one[1]).mean())) < 0.03
    assert abs(float((one[0] * other[0]).mean())) < 0.03
    assert abs(float((one[0, 1:] * one[0, :-1]).mean())) < 0.03
    assert abs(float(one[2].mean()) - 0.5) < 0.01
    assert float(one[2].min()) > 0
    assert float(one[2].max()) < 1


def test_noise_is_the_same_for_all(walks: dict[str, Any]) -> None:
    def added(name: str) -> list[float]:
        walked = walks[f"noisy {name}"]
        slopes = [gradient_at("noisy", x, y)[0] for x, y in zip(walked["x"], walked["y"], strict=True)]
        return [walked["gx"][step] - slopes[step - 1] for step in range(1, 320)]

    assert added("sgd") == pytest.approx(added("adam"), abs=1e-9)


def test_a_rare_gradient_is_there_about_as_often_as_it_says(landscapes: Landscapes) -> None:
    found = run(landscapes, WALK_ALL, surfaces=["sparse"], seed=0)["sparse sgd"]
    seen = sum(gradient != 0 for gradient in found["gy"][1:])
    assert 10 <= seen <= 30
    assert all(gradient != 0 for gradient in found["gx"][1:100])
    missing = [step for step in range(1, 240) if math.isnan(found["ey"][step] or math.nan)]
    assert missing, "where no gradient was seen for ten steps there is no effective step"


def test_a_walk_that_diverges_stops(landscapes: Landscapes) -> None:
    code = """
    const [surface] = page.surfaces;
    const [sgd] = page.optimizers;
    const hyper = { ...sgd.hyper, lr: 1 };
    const options = { start: surface.start, hyper, noise: 0, thrown: dice(0, 200), steps: 200 };
    const path = walk(surface, sgd.name, options);
    const { count, diverged, y } = path;
    answer({ count, diverged, last: y[count], score: score(surface, path) });
    """
    found = run(landscapes, code)
    # y is multiplied by 1 - 50 each step: 0.25 * 49^k is beyond 6000 from k = 3 on.
    assert (found["count"], found["diverged"]) == (2, 3)
    assert found["last"] == pytest.approx(0.25 * 49**2)
    assert found["score"] is None  # Infinity has no JSON


def test_what_moves_and_sums_is_written_out() -> None:
    """On a matrix [2, 3] whose elements are inputs: which operations come out, and what they compute."""
    given = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    unroller = Unroller()
    inputs = unroller.input(given)
    with unroller:
        turned = given.T.unsqueeze(0).reshape(2, 3)
        sums = turned.sum(dim=1)
        product = given @ given.T
        norm = torch.linalg.vector_norm(given)
        mean = given.mean(dim=0, keepdim=True)
        both = torch.stack([sums, sums]).flatten()
    values: dict[int, float] = {value.place: float(at) for at, value in enumerate(inputs)}
    do = {"add.Tensor": lambda a, b: a + b, "mul.Tensor": lambda a, b: a * b, "div.Tensor": lambda a, b: a / b}

    def number(argument: Value | float | None) -> float:
        assert argument is not None
        return values[argument.place] if isinstance(argument, Value) else argument

    for operation in unroller.operations:
        known = [number(argument) for argument in operation.arguments]
        one = operation.name == "sqrt.default"
        values[operation.result.place] = math.sqrt(known[0]) if one else do[operation.name](*known)

    def computed(tensor: Tensor) -> list[float]:
        return [number(atom) for atom in unroller.atoms(tensor)]

    for tensor in (turned, sums, product, norm, mean, both):
        assert computed(tensor) == pytest.approx(tensor.flatten().tolist())


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (lambda x: x.add_(1), "the operation add_.Tensor"),
        (lambda x: x.float() * 2, "numbers of dtype torch.float32"),
        (lambda x: x * OUTSIDE, "a tensor from outside"),
        (lambda x: torch.linalg.vector_norm(x, 1), "the norm of order 1"),
        (torch.erf, "the operation erf.default"),
        (lambda x: x if x.sum() > 0 else -x, "the operation _local_scalar_dense.default"),
    ],
)
def test_what_cannot_be_written_out_is_refused(code: Any, reason: str) -> None:
    given = torch.ones(2, dtype=torch.float64)
    unroller = Unroller()
    unroller.input(given)
    with pytest.raises(Untraceable, match=f"^{reason}$"), unroller:
        code(given)


OUTSIDE = torch.ones(2, dtype=torch.float64)
