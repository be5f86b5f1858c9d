"""What defines the rules that look at whole tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from gradrace.engine.trial import Training, TrialSetup
from gradrace.engine.vectorized import Vectorized
from gradrace.optimizers import optimizer
from gradrace.workloads import workload
from rule_trial import F64, Trial, normal


def first_step(name: str, param: Tensor, grad: Tensor, hyper: Mapping[str, float] | None = None) -> Tensor:
    return Trial(name, {"w": param}, hyper).step({"w": grad})["w"]


# --- LAMB and LARS: steps in proportion to the weights ---


@pytest.mark.parametrize("size", [0.01, 1.0, 7.0])
def test_a_step_of_lamb_is_a_share_of_the_weights(size: float) -> None:
    param = normal(4, 5)
    param *= size / param.norm()
    step = first_step("lamb", param, normal(4, 5, seed=1), {"lr": 0.1})
    assert float(step.norm()) == pytest.approx(0.1 * size, rel=1e-5)


def test_a_step_of_lamb_is_no_longer_than_ten_allows_and_moves_zeros_too() -> None:
    grad = normal(4, 5, seed=1)
    assert float(first_step("lamb", 100 * normal(4, 5), grad, {"lr": 0.1}).norm()) == pytest.approx(1, rel=1e-5)
    assert float(first_step("lamb", torch.zeros(4, 5, dtype=F64), grad, {"lr": 0.1}).norm()) > 0.1


@pytest.mark.parametrize("size", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_step_of_lars_is_a_share_of_the_matrix_whatever_the_gradient(size: float, scale: float) -> None:
    param = normal(4, 5)
    param *= size / param.norm()
    step = first_step("lars", param, scale * normal(4, 5, seed=1), {"lr": 2.0, "trust": 0.01})
    assert float(step.norm()) == pytest.approx(0.02 * size, rel=1e-12)


def test_lars_is_momentum_for_vectors() -> None:
    start = {"b": normal(5)}
    lars, momentum = Trial("lars", start, {"lr": 0.1, "weight_decay": 0.5}), Trial("momentum", start, {"lr": 0.1})
    for seed in range(5):
        grads = {"b": normal(5, seed=seed)}
        assert torch.equal(lars.step(grads)["b"], momentum.step(grads)["b"])


# --- Muon: orthogonal steps ---


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4), (1, 5)])
def test_a_step_of_muon_stretches_all_directions_about_alike(shape: tuple[int, int]) -> None:
    step = first_step("muon", torch.zeros(shape, dtype=F64), normal(*shape), {"lr": 0.1})
    stretch = torch.linalg.svdvals(step) / (0.1 * 0.2 * math.sqrt(max(shape)))
    assert float(stretch.min()) > 0.6
    assert float(stretch.max()) < 1.3


def test_a_step_of_muon_has_the_gradients_singular_vectors() -> None:
    left, _, right = torch.linalg.svd(normal(5, 5))
    step = first_step("muon", torch.zeros(5, 5, dtype=F64), left @ torch.diag(normal(5, seed=1).abs() + 0.1) @ right)
    turned = -left.T @ step @ right.T
    assert float((turned - torch.diag(turned.diagonal())).abs().max()) < 1e-12 * float(turned.max())
    assert float(turned.diagonal().min()) > 0


def test_muon_is_adam_for_what_is_no_matrix() -> None:
    start = {"b": normal(5), "kernel": normal(2, 3, 4), "scalar": normal()}
    muon, adam = Trial("muon", start, {"lr": 0.1, "weight_decay": 0.0}), Trial("adam", start, {"lr": 0.1})
    for seed in range(5):
        grads = {key: normal(*param.shape, seed=seed) for key, param in start.items()}
        steps, others = muon.step(grads), adam.step(grads)
        assert all(torch.equal(steps[key], others[key]) for key in start)


@pytest.mark.parametrize("match_rms", [True, False])
def test_muon_is_torchs_up_to_bfloat16(match_rms: bool) -> None:
    # oracles.Muon is compared to the last digits, without the rounding to bfloat16; this is torch.optim.Muon as it is.
    start = normal(6, 4)
    muon = Trial("muon", {"w": start}, {"lr": 0.01}, {"match_rms": match_rms})
    param = start.clone()
    torchs = torch.optim.Muon([param], lr=0.01, adjust_lr_fn="match_rms_adamw" if match_rms else "original")
    for seed in range(20):
        param.grad = normal(6, 4, seed=seed)
        muon.step({"w": param.grad})
        torchs.step()
    way = float((param - start).norm())
    assert float((muon.params["w"] - param).norm()) < 0.02 * way


# --- Adafactor: rows and columns in place of a matrix ---


def test_adafactor_remembers_rows_and_columns_alone() -> None:
    state = Trial("adafactor", {"w": normal(30, 40), "b": normal(7)}).state
    assert sum(part.numel() for part in state["w"]) == 30 + 40
    assert sum(part.numel() for part in state["b"]) == 7


def test_adafactor_loses_nothing_where_squares_are_a_product() -> None:
    sizes = torch.outer(normal(4).abs() + 0.1, normal(5, seed=1).abs() + 0.1)
    grad = sizes * normal(4, 5, seed=2).sign()
    param = normal(4, 5, seed=3)
    step = first_step("adafactor", param, grad, {"lr": 0.01})
    assert torch.allclose(step, -0.01 * param.square().mean().sqrt() * grad.sign(), rtol=1e-12)


def test_a_step_of_adafactor_is_cut_back() -> None:
    trial = Trial("adafactor", {"w": torch.ones(4, 5, dtype=F64)}, {"lr": 0.01})
    for _ in range(3):
        trial.step({"w": normal(4, 5)})
    size = trial.params["w"].square().mean().sqrt()
    step = trial.step({"w": 1e6 * normal(4, 5)})["w"]
    assert float(step.square().mean().sqrt()) == pytest.approx(0.01 * float(size), rel=1e-9)


# --- SOAP: Adam in other axes ---


def test_soap_looks_before_it_moves() -> None:
    trial = Trial("soap", {"w": normal(4, 5)})
    assert not trial.step({"w": normal(4, 5, seed=1)})["w"].any()
    assert trial.step({"w": normal(4, 5, seed=2)})["w"].all()


@pytest.mark.parametrize("refresh", [1.0, 3.0])
def test_bases_of_soap_are_orthonormal_and_turn_when_they_should(refresh: float) -> None:
    trial = Trial("soap", {"w": normal(4, 5), "b": normal(3)}, {"refresh": refresh})
    trial.step({"w": normal(4, 5), "b": normal(3)})
    for step in range(2, 12):
        before = trial.state["w"].bases
        trial.step({"w": normal(4, 5, seed=step), "b": normal(3)})
        for old, new in zip(before, trial.state["w"].bases, strict=True):
            assert torch.allclose(new.T @ new, torch.eye(len(new), dtype=F64), atol=1e-12)
            assert torch.equal(old, new) == bool((step - 1) % refresh)
    assert trial.state["b"].bases == ()


def test_soap_turns_with_the_problem_and_adam_does_not() -> None:
    turn, start = torch.linalg.qr(normal(4, 4, seed=50)).Q, torch.zeros(4, 4, dtype=F64)
    distances = {}
    for name in ("soap", "adam"):
        plain, turned = (Trial(name, {"w": start}, {"lr": 0.01, "weight_decay": 0.0}) for _ in range(2))
        for seed in range(9):
            grad = normal(4, 4, seed=seed)
            plain.step({"w": grad})
            turned.step({"w": turn @ grad})
        way = plain.params["w"]
        distances[name] = float((turn.T @ turned.params["w"] - way).norm() / way.norm())
    assert distances["soap"] < 0.05  # the slope that settles its bases does not turn along
    assert distances["adam"] > 0.2


def test_a_trial_of_soap_that_diverges_leaves_its_neighbours_alone() -> None:
    soap, stream = optimizer("soap"), (1, 0, 0)
    lrs, training = (0.01, 1e300), Training(steps=20, batch_size=32, dtype=F64)
    setups = [TrialSetup(soap, soap.configure({"lr": lr}), soap.with_options({}), stream) for lr in lrs]
    both, alone = (Vectorized(workload("linear")).start(chosen, training) for chosen in (setups, setups[:1]))
    assert both.train(20)[0] == pytest.approx(alone.train(20)[0], rel=1e-9)
    assert [step is None for step in both.diverged_at()] == [True, False]
