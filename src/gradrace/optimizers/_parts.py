"""The parts that update rules are made of. Each is one line of mathematics on one tensor, for one trial.

Hyperparameters arrive as 0-dimensional float64 tensors. Arithmetic among them stays in float64 and is rounded to the
parameter's dtype only where it meets a parameter: ``1 - 0.999`` in float32 would already be wrong in its fifth digit.
"""

from __future__ import annotations

import torch
from torch import Tensor


def like(scalar: Tensor, tensor: Tensor) -> Tensor:
    """A hyperparameter, or arithmetic among them, in the dtype of the tensor that it will meet."""
    return scalar.to(tensor.dtype)


def moving_average(old: Tensor, new: Tensor, decay: Tensor) -> Tensor:
    """Exponential moving average: ``decay * old + (1 - decay) * new``."""
    return like(decay, old) * old + like(1 - decay, new) * new


def bias_correction(decay: Tensor, step: Tensor) -> Tensor:
    """What an average that started at zero has seen by ``step`` (1, 2, …): ``1 - decay ** step``, float64, shape ()."""
    return 1 - decay**step


def corrected_root(square: Tensor, decay: Tensor, step: Tensor) -> Tensor:
    """Root of an average of squares that started at zero, corrected: ``sqrt(square / (1 - decay ** step))``."""
    # The correction is a number: its root is taken once, and not in every coordinate.
    return square.sqrt() / like(bias_correction(decay, step).sqrt(), square)


def with_weight_decay(grad: Tensor, param: Tensor, weight_decay: Tensor | None) -> Tensor:
    """Weight decay as an L2 penalty: ``grad + weight_decay * param``. None means that the race has none."""
    return grad if weight_decay is None else grad + like(weight_decay, param) * param


def descent(direction: Tensor, lr: Tensor) -> Tensor:
    """A step of length ``lr`` down a direction: ``-lr * direction``."""
    return like(-lr, direction) * direction


def with_decoupled_decay(update: Tensor, param: Tensor, lr: Tensor, weight_decay: Tensor | None) -> Tensor:
    """An update that also shrinks the parameter by the share ``lr * weight_decay``, beside the gradient's averages."""
    return update if weight_decay is None else update - like(lr * weight_decay, param) * param


def decay_pace(lr: Tensor, fixed: bool) -> Tensor:
    """What decoupled weight decay is multiplied by: the learning rate, or 1 where the decay is ``fixed``."""
    return torch.ones_like(lr) if fixed else lr


def norm(tensor: Tensor) -> Tensor:
    """Euclidean length of a whole tensor, shape ()."""
    return torch.linalg.vector_norm(tensor)


def root_mean_square(tensor: Tensor) -> Tensor:
    """``sqrt(mean(x * x))`` of a whole tensor, shape ()."""
    return norm(tensor) / tensor.numel() ** 0.5 if tensor.numel() else tensor.new_zeros(())


def trust_ratio(weight_norm: Tensor, update_norm: Tensor, factor: Tensor) -> Tensor:
    """``factor * weight_norm / update_norm``: a step in proportion to the weights; 1 where either norm is 0."""
    usable = (weight_norm > 0) & (update_norm > 0)
    divisor = torch.where(usable, update_norm, torch.ones_like(update_norm))
    return torch.where(usable, like(factor, weight_norm) * weight_norm / divisor, torch.ones_like(weight_norm))
