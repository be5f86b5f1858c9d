"""Convolutions and pooling, of images and of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from torch import fx

from gradrace.engine.native.convolutions import Convolution, MaxPool, Window
from gradrace.engine.native.elements import op
from gradrace.engine.native.lowering import Lowering, rule, scaled, shape_of
from gradrace.engine.native.scatterings import Scattering
from gradrace.engine.native.statements import value_of
from gradrace.engine.native.values import Buffer, Const, Load, Taken, Unsupported, Value, permuted, sliced

Pair = tuple[int, int]


def _pair(numbers: Sequence[int] | int, rows: bool = False) -> Pair:
    """A number for height and one for width; ``rows`` have no height."""
    if isinstance(numbers, int):
        return (numbers, numbers)
    if rows:
        return (0 if not numbers else 1, numbers[0])
    return (numbers[0], numbers[-1])


def _image(low: Lowering, value: Value) -> Value:
    """Rows [n, channels, width] as images of height 1."""
    if len(value.shape) == 3:
        return low.reshape(value, (*value.shape[:2], 1, value.shape[2]))
    if len(value.shape) != 4:
        raise Unsupported(f"images of shape {value.shape}")
    return value


def _padded(low: Lowering, value: Value, pads: Pair, filling: float) -> Buffer:
    """Images with a border, in memory."""
    if pads == (0, 0):
        known = value.whole()
        return known if known is not None else _buffer(low.stored(value))
    count, channels, height, width = value.shape
    whole = low.stored(Value((count, channels, height + 2 * pads[0], width + 2 * pads[1]), Const(filling, value.dtype)))
    low.store(value, _inside(whole, pads))
    return _buffer(whole)


def _inside(whole: Value, pads: Pair) -> Value:
    """Padded images without their border."""
    count, channels, height, width = whole.shape
    part = whole.viewed((count, channels, height - 2 * pads[0], width), sliced(2, pads[0]))
    return part.viewed((count, channels, height - 2 * pads[0], width - 2 * pads[1]), sliced(3, pads[1]))


def _buffer(value: Value) -> Buffer:
    assert isinstance(value.expr, Load)
    return value.expr.buffer


def _whole(low: Lowering, value: Value) -> Buffer:
    known = value.whole()
    return known if known is not None else _buffer(low.stored(value))


def _window(
    images: Value, weights: Value, out: Sequence[int], stride: Any, padding: Any, dilation: Any, groups: int
) -> tuple[Window, Pair]:
    rows = len(out) == 3
    lone = (1, 0, 1) if rows else None
    strides, pads, gaps = (
        (lone[place], numbers[0]) if lone else (numbers[0], numbers[-1])
        for place, numbers in enumerate((stride, padding, dilation))
    )
    count, channels, height, width = images.shape
    size = (count, channels, height + 2 * pads[0], width + 2 * pads[1])
    kernel = (weights.shape[2], weights.shape[3])
    return Window(size, groups, kernel, strides, gaps, (1 if rows else out[-2], out[-1]), weights.shape[0]), pads


def _check(weights: Value, transposed: bool) -> None:
    if transposed or len(weights.shape) not in (3, 4):
        raise Unsupported("a transposed convolution" if transposed else "a convolution in three dimensions")


@rule("convolution")
def _convolution(
    low: Lowering,
    node: fx.Node,
    images: Value,
    weights: Value,
    bias: Value | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Any,
    groups: int,
) -> Value:
    _check(weights, transposed)
    shape = shape_of(node)
    images, weights = _image(low, images), _image(low, weights)
    window, pads = _window(images, weights, shape, stride, padding, dilation, groups)
    out = low.new(shape, images.dtype)
    padded = _padded(low, images, pads, 0)
    low.statements.append(Convolution("forward", out, window, padded, _whole(low, weights), None))
    result = value_of(out, shape)
    if bias is None:
        return result
    spread = low.expand(low.reshape(bias, (shape[1], *([1] * (len(shape) - 2)))), shape)
    return Value(shape, op("add", result.dtype, result.expr, spread.expr))


@rule("convolution_backward")
def _convolution_backward(
    low: Lowering,
    node: fx.Node,
    grad: Value,
    images: Value,
    weights: Value,
    bias: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Any,
    groups: int,
    wanted: Sequence[bool],
) -> list[Value | None]:
    _check(weights, transposed)
    results: list[Value | None] = [None, None, None]
    shapes = images.shape, weights.shape
    out = grad.shape
    grad = low.stored(grad) if grad.whole() is None else grad
    given = _buffer(grad)
    images, weights = _image(low, images), _image(low, weights)
    window, pads = _window(images, weights, out, stride, padding, dilation, groups)
    if wanted[0]:
        whole = low.stored(Value(window.images, Const(0, grad.dtype)))
        low.statements.append(Convolution("images", _buffer(whole), window, None, _whole(low, weights), given))
        results[0] = low.reshape(_inside(whole, pads), shapes[0])
    if wanted[1]:
        turned = low.new((groups, window.terms, window.group_filters), grad.dtype)
        padded = _padded(low, images, pads, 0)
        low.statements.append(Convolution("filters", turned, window, padded, None, given))
        filters = value_of(turned, (groups, window.terms, window.group_filters))
        order = filters.viewed((groups, window.group_filters, window.terms), permuted((0, 2, 1)))
        results[1] = low.reshape(order, shapes[1])
    if wanted[2]:
        results[2] = low.reduce(grad, "sum", [dim for dim in range(len(out)) if dim != 1], False)
    return results


@rule("max_pool2d_with_indices")
def _max_pool(
    low: Lowering,
    node: fx.Node,
    images: Value,
    kernel: Any,
    stride: Any = (),
    padding: Any = 0,
    dilation: Any = 1,
    ceil: bool = False,
) -> list[Value]:
    shape = tuple(node.meta["val"][0].shape)
    if len(shape) != 4:
        raise Unsupported("pooling without a dimension of examples")
    kernel, pads, gaps = _pair(kernel), _pair(padding), _pair(dilation)
    stride = _pair(stride) if stride else kernel
    count, channels, height, width = images.shape
    need = [(n - 1) * s + (k - 1) * g + 1 for n, s, k, g in zip(shape[2:], stride, kernel, gaps, strict=True)]
    if need[0] > height + 2 * pads[0] or need[1] > width + 2 * pads[1]:
        raise Unsupported("pooling whose last patches reach beyond the image")
    padded = _padded(low, images, pads, -math.inf)
    size = (count, channels, height + 2 * pads[0], width + 2 * pads[1])
    window = Window(size, 1, kernel, stride, gaps, (shape[2], shape[3]), channels)
    out, places = low.new(shape, images.dtype), low.new(shape, node.meta["val"][1].dtype)
    low.statements.append(MaxPool(out, places, window, padded, pads, (height, width)))
    return [value_of(out, shape), value_of(places, shape)]


@rule("max_pool2d_with_indices_backward")
def _max_pool_backward(low: Lowering, node: fx.Node, grad: Value, images: Value, *more: Any) -> Value:
    places: Value = more[-1]
    count, channels, height, width = shape_of(node)
    whole = low.stored(Value((count, channels, height * width), Const(0, grad.dtype)))
    shape = (count, channels, places.shape[2] * places.shape[3])
    taken = Taken(low.reshape(places, shape).expr, 1, height * width)
    target = Load(_buffer(whole), 0, (channels * height * width, height * width, 0), (taken,))
    low.statements.append(Scattering(target, shape, low.reshape(grad, shape).expr, True))
    return low.reshape(whole, shape_of(node))


def _pooled(
    low: Lowering, images: Value, kernel: Pair, stride: Pair, pads: Pair, out: Pair
) -> tuple[Buffer, Load, Any]:
    """Padded images, and where in them the elements [n, channels, out, kernel] of all patches lie."""
    buffer = _padded(low, images, pads, 0)
    count, channels, height, width = images.shape
    rows, columns = height + 2 * pads[0], width + 2 * pads[1]
    strides = (channels * rows * columns, rows * columns, stride[0] * columns, stride[1], columns, 1)
    return buffer, Load(buffer, 0, strides), (count, channels, *out, *kernel)


def _average(node: fx.Node, args: Sequence[Any]) -> tuple[Pair, Pair, Pair]:
    given: Any = (*args, *((), 0, False, True, None)[len(args) - 1 :])[:6]
    kernel, stride, padding, ceil, counted, divisor = given
    kernel, pads = _pair(kernel), _pair(padding)
    if ceil or divisor is not None or (not counted and pads != (0, 0)):
        raise Unsupported(f"{node.target} with these options")
    return kernel, _pair(stride) if stride else kernel, pads


@rule("avg_pool2d")
def _avg_pool(low: Lowering, node: fx.Node, images: Value, *args: Any) -> Value:
    kernel, stride, pads = _average(node, args)
    shape = shape_of(node)
    _, load, sizes = _pooled(low, images, kernel, stride, pads, (shape[2], shape[3]))
    return scaled(low.reduce(Value(sizes, load), "sum", [4, 5], False), 1 / math.prod(kernel))


@rule("avg_pool2d_backward")
def _avg_pool_backward(low: Lowering, node: fx.Node, grad: Value, images: Value, *args: Any) -> Value:
    kernel, stride, pads = _average(node, args)
    count, channels, height, width = shape_of(node)
    zeros = Value((count, channels, height, width), Const(0, grad.dtype))
    whole = low.stored(Value((count, channels, height + 2 * pads[0], width + 2 * pads[1]), Const(0, grad.dtype)))
    _, _, sizes = _pooled(low, zeros, kernel, stride, (0, 0), (grad.shape[2], grad.shape[3]))
    rows, columns = whole.shape[2:]
    target = Load(
        _buffer(whole), 0, (channels * rows * columns, rows * columns, stride[0] * columns, stride[1], columns, 1)
    )
    each = scaled(grad, 1 / math.prod(kernel))
    spread = low.expand(low.reshape(low.stored(each), (*grad.shape, 1, 1)), sizes)
    low.statements.append(Scattering(target, sizes, spread.expr, True))
    return _inside(whole, pads)
