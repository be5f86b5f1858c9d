"""Operations on single elements in C.

``{0}``, ``{1}``, …: arguments, of one type. ``{f}``: "f" for float32, else nothing. ``{k}``: "f" or "d".
"""

from __future__ import annotations

import math

import torch

from gradrace.engine.native.values import Const, Expr, Op, Unsupported

TYPES = {
    torch.float32: "float",
    torch.float64: "double",
    torch.int64: "int64_t",
    torch.int32: "int32_t",
    torch.uint8: "uint8_t",
    torch.bool: "uint8_t",
}
COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
WORDS = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "abs": "fabs{f}({0})",
    "sign": "({0} > 0) - ({0} < 0)",
    "reciprocal": "1 / {0}",
    "sqrt": "sqrt{f}({0})",
    "rsqrt": "1 / sqrt{f}({0})",
    "exp": "exp_{k}({0})",
    "expm1": "expm1{f}({0})",
    "log": "log{f}({0})",
    "log1p": "log1p{f}({0})",
    "log2": "log2{f}({0})",
    "sin": "sin{f}({0})",
    "cos": "cos{f}({0})",
    "tanh": "tanh{f}({0})",
    "erf": "erf{f}({0})",
    "sigmoid": "1 / (1 + exp_{k}(-{0}))",
    "pow": "pow{f}({0}, {1})",
    "floor": "floor{f}({0})",
    "ceil": "ceil{f}({0})",
    # A NaN on either side is handed on, as PyTorch does; comparisons with it are false.
    "relu": "{0} <= 0 ? 0 : {0}",
    "maximum": "{0} != {0} || {0} > {1} ? {0} : {1}",
    "minimum": "{0} != {0} || {0} < {1} ? {0} : {1}",
    "clamp_min": "{0} < {1} ? {1} : {0}",
    "clamp_max": "{0} > {1} ? {1} : {0}",
    "where": "{0} ? {1} : {2}",
    "cast": "{0}",
    "and": "{0} & {1}",
    "or": "{0} | {1}",
    "xor": "{0} ^ {1}",
    "not": "!{0}",
    "isnan": "{0} != {0}",
    "remainder": "{0} - {1} * floor{f}({0} / {1})",
    **{name: f"{{0}} {sign} {{1}}" for name, sign in COMPARISONS.items()},
}
HEAVY = frozenset(
    {"exp", "expm1", "log", "log1p", "log2", "sin", "cos", "tanh", "erf", "sigmoid", "pow", "div", "sqrt", "rsqrt"}
)
_INTEGER = {"abs": "({0} < 0 ? -{0} : {0})", "remainder": "(({0} % {1}) + {1}) % {1}"}


def op(name: str, dtype: torch.dtype, *args: Expr, inner: torch.dtype | None = None) -> Expr:
    """An operation whose arguments are converted to ``inner``, or to the result's dtype."""
    inner = inner or dtype
    for kind in (dtype, inner, *(arg.dtype for arg in args)):
        if kind not in TYPES:
            raise Unsupported(f"numbers of dtype {kind}")
    # What changes nothing is left out: graphs are full of it.
    if name in ("add", "sub") and _is(args[1], 0) and args[0].dtype == dtype:
        return args[0]
    if name in ("mul", "div") and _is(args[1], 1) and args[0].dtype == dtype:
        return args[0]
    if name == "cast" and args[0].dtype == dtype:
        return args[0]
    if name == "cast" and isinstance(args[0], Const):
        return Const(args[0].value, dtype)
    return Op(name, args, dtype, inner)


def _is(expr: Expr, value: float) -> bool:
    return isinstance(expr, Const) and expr.value == value


def written(operation: Op, names: list[str]) -> str:
    """An operation in C, its arguments' names given."""
    real = operation.inner.is_floating_point
    words = WORDS[operation.name]
    if not real and operation.name in _INTEGER:
        words = _INTEGER[operation.name]
    elif not real and ("{f}" in words or "{k}" in words):
        raise Unsupported(f"{operation.name} of whole numbers")
    single = operation.inner is torch.float32
    return words.format(*names, f="f" if single else "", k="f" if single else "d")


def number(value: float, dtype: torch.dtype) -> str:
    """A number in C."""
    if not dtype.is_floating_point:
        return str(int(value))
    if math.isnan(value):
        return "NAN"
    if math.isinf(value):
        return "INFINITY" if value > 0 else "-INFINITY"
    return f"(({TYPES[dtype]}){float(value)!r})"
