"""A traced rule as a C function that takes all tensors of a step in one pass over memory.

The C code does the same operations in the same order and precision as the rule does in PyTorch, and the compiler is
told not to fuse or reorder them. Compiled and uncompiled steps therefore agree to the last bit, except where PyTorch
rounds otherwise than IEEE 754 says: its square root of vectors may come from Intel's library, which for a fifth of all
float32 numbers is one unit in the last place off.
"""

from __future__ import annotations

import math

import torch

from gradrace.optim._trace import Operation, Trace, Untraceable, Value

_TYPES = {torch.float32: "float", torch.float64: "double", torch.bool: "int"}

# {0}, {1}, …: arguments, converted to the operation's dtype; {f}: "f" for float32.
_ANYWHERE = {
    "add.Tensor": "{0} + {1}",
    "sub.Tensor": "{0} - {1}",
    "rsub.Scalar": "{1} - {0}",
    "mul.Tensor": "{0} * {1}",
    "div.Tensor": "{0} / {1}",
    "neg.default": "-{0}",
    "abs.default": "fabs{f}({0})",
    "sqrt.default": "sqrt{f}({0})",
    "rsqrt.default": "1 / sqrt{f}({0})",
    "reciprocal.default": "1 / {0}",
    "sign.default": "({0} > 0) - ({0} < 0)",
    # Comparisons with NaN are false: a NaN on either side is handed on, as PyTorch does.
    "maximum.default": "{0} != {0} || {0} > {1} ? {0} : {1}",
    "minimum.default": "{0} != {0} || {0} < {1} ? {0} : {1}",
    "clamp_min.default": "{0} < {1} ? {1} : {0}",
    "clamp_max.default": "{0} > {1} ? {1} : {0}",
    "gt.Tensor": "{0} > {1}",
    "ge.Tensor": "{0} >= {1}",
    "lt.Tensor": "{0} < {1}",
    "le.Tensor": "{0} <= {1}",
    "eq.Tensor": "{0} == {1}",
    "ne.Tensor": "{0} != {1}",
    "bitwise_and.Tensor": "{0} & {1}",
    "bitwise_or.Tensor": "{0} | {1}",
    "logical_and.default": "{0} && {1}",
    "logical_or.default": "{0} || {1}",
    "logical_not.default": "!{0}",
    "bitwise_not.default": "!{0}",
    "_to_copy.default": "{0}",
    "clone.default": "{0}",
    "detach.default": "{0}",
    "alias.default": "{0}",
    "zeros_like.default": "0",
    "ones_like.default": "1",
    "full_like.default": "{1}",
    "scalar_tensor.default": "{0}",
}
# PyTorch's own vectorized versions of these differ in the last bit from C's. On single numbers it calls C's.
_ON_NUMBERS = {
    "pow.Tensor_Tensor": "pow({0}, {1})",
    "pow.Tensor_Scalar": "pow({0}, {1})",
    "pow.Scalar": "pow({0}, {1})",
    "exp.default": "exp({0})",
    "log.default": "log({0})",
    "cos.default": "cos({0})",
    "tanh.default": "tanh({0})",
}
_POWERS = {1: "{0}", 2: "{0} * {0}", 3: "{0} * {0} * {0}", 0.5: "sqrt{f}({0})", -1: "1 / {0}", -0.5: "1 / sqrt{f}({0})"}
_TRUTH_VALUES = ("bitwise", "logical")

_FRAME = """\
#include <math.h>
#include <stdint.h>

typedef struct {{ {members} }} Numbers;

static void range(int64_t count, {parameters}, const Numbers c) {{
    for (int64_t i = 0; i < count; i++) {{
{loop}
    }}
}}

static Numbers prelude(double *numbers) {{
    Numbers c;
{prelude}
    return c;
}}

/* Updates tensors[f][t][0 .. sizes[t]) for every tensor t and its fields f; `numbers` are the inputs of shape (). */
void step(int64_t count, const int64_t *sizes, char *const *const *tensors, double *numbers, int threads) {{
    const Numbers c = prelude(numbers);
    int64_t total = 0;
    for (int64_t t = 0; t < count; t++) total += sizes[t];
    #pragma omp parallel for num_threads(threads) schedule(static, 1) if (threads > 1)
    for (int part = 0; part < threads; part++) {{
        const int64_t low = total / threads * part + (total % threads) * part / threads;
        const int64_t high = total / threads * (part + 1) + (total % threads) * (part + 1) / threads;
        int64_t start = 0;
        for (int64_t t = 0; t < count && start < high; start += sizes[t], t++) {{
            const int64_t from = low > start ? low - start : 0;
            const int64_t to = high - start < sizes[t] ? high - start : sizes[t];
            if (from < to) range(to - from, {arguments}, c);
        }}
    }}
}}

/* Updates rows[f][r * size .. (r + 1) * size) for `count` rows r, each with `width` numbers of its own. */
void rows(int64_t count, int64_t size, char *const *rows, double *numbers, int64_t width) {{
    for (int64_t r = 0; r < count; r++) {{
        const Numbers c = prelude(numbers + r * width);
        range(size, {row_arguments}, c);
    }}
}}

/* Updates row[f][starts[k] .. starts[k] + sizes[k]) for `count` pieces k of one row. */
void pieces(int64_t count, const int64_t *starts, const int64_t *sizes, char *const *row, double *numbers) {{
    const Numbers c = prelude(numbers);
    for (int64_t k = 0; k < count; k++) range(sizes[k], {piece_arguments}, c);
}}
"""


def source(trace: Trace) -> str:
    """The C code of ``step``, for the tensors of one model, and of ``rows``, for many models in rows of memory.

    Raises:
        Untraceable: there is an operation that it has no words for.
    """
    grad = trace.vectors["grad"]
    if grad.dtype not in (torch.float32, torch.float64):
        raise Untraceable(f"parameters of dtype {grad.dtype}")
    real = _TYPES[grad.dtype]
    prelude = [f"c.{_name(v)} = ({_c_type(v.dtype)})numbers[{i}];" for i, v in enumerate(trace.numbers.values())]
    prelude += [f"c.{_name(o.result)} = {_expression(o, 'c.')};" for o in trace.operations if o.result.scalar]
    loop = [f"const {real} {_name(value)} = {name}[i];" for name, value in _columns(trace).items()]
    for operation in trace.operations:
        if not operation.result.scalar:
            loop.append(
                f"const {_c_type(operation.result.dtype)} {_name(operation.result)} = {_expression(operation, 'c.')};"
            )
    names = dict(zip(trace.vectors, _columns(trace), strict=True))
    for name, value in trace.outputs.items():
        if value.scalar:
            prelude.append(f"numbers[{list(trace.numbers).index(name)}] = c.{_name(value)};")
        elif name == "update":
            loop.append(f"{names['param']}[i] = {_name(trace.vectors['param'])} + {_name(value)};")
        elif value != trace.vectors[name]:
            loop.append(f"{names[name]}[i] = {_name(value)};")
    numbers = dict.fromkeys([*trace.numbers.values(), *(o.result for o in trace.operations if o.result.scalar)])
    constants = ["const " if name == "grad" else "" for name in trace.vectors]
    return _FRAME.format(
        members=" ".join(f"{_c_type(value.dtype)} {_name(value)};" for value in numbers),
        parameters=", ".join(f"{c}{real} *restrict {n}" for c, n in zip(constants, _columns(trace), strict=True)),
        arguments=", ".join(f"({real} *)tensors[{f}][t] + from" for f in range(len(names))),
        row_arguments=", ".join(f"({real} *)rows[{f}] + r * size" for f in range(len(names))),
        piece_arguments=", ".join(f"({real} *)row[{f}] + starts[k]" for f in range(len(names))),
        prelude="\n".join("    " + line for line in prelude),
        loop="\n".join("        " + line for line in loop),
    )


def _columns(trace: Trace) -> dict[str, Value]:
    return {f"x{place}": value for place, value in enumerate(trace.vectors.values())}


def _name(value: Value) -> str:
    return f"v{value.place}"


def _c_type(dtype: torch.dtype) -> str:
    if dtype not in _TYPES:
        raise Untraceable(f"numbers of dtype {dtype}")
    return _TYPES[dtype]


def _expression(operation: Operation, prefix: str) -> str:
    name, arguments, dtype = operation.name, list(operation.arguments), operation.dtype
    if name == "where.self":
        condition = _argument(arguments[0], torch.bool, prefix)
        return f"{condition} ? {_argument(arguments[1], dtype, prefix)} : {_argument(arguments[2], dtype, prefix)}"
    pattern = words(operation)
    if name.startswith(_TRUTH_VALUES) and any(isinstance(a, Value) and a.dtype is not torch.bool for a in arguments):
        raise Untraceable(f"{name} of numbers")
    written = [_argument(argument, dtype, prefix) for argument in arguments]
    return pattern.format(*written, f="f" if dtype is torch.float32 else "")


_COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne", "mul", "div", "add", "sub")


def words(operation: Operation) -> str:
    """The C expression of an operation, with {0}, {1}, … for its arguments and {f} for the letter of the precision.

    Raises:
        Untraceable: there is none.
    """
    name, arguments = operation.name, operation.arguments
    name = name.replace(".Scalar", ".Tensor") if name.split(".")[0] in _COMPARISONS else name
    if name == "clamp.default":
        low, high = (*arguments[1:], None)[:2]
        if low is not None and high is not None:
            return "({0} < {1} ? {1} : {0}) > {2} ? {2} : ({0} < {1} ? {1} : {0})"
        return "{0} < {1} ? {1} : {0}" if high is None else "{0} > {2} ? {2} : {0}"
    if name == "pow.Tensor_Scalar" and arguments[1] in _POWERS:
        return _POWERS[arguments[1]]  # exactly what PyTorch does with these exponents
    if name in ("add.Tensor", "sub.Tensor") and len(arguments) > 2:
        raise Untraceable("a sum with a factor")
    if operation.result.scalar and operation.result.dtype is torch.float64 and name in _ON_NUMBERS:
        return _ON_NUMBERS[name]
    if name not in _ANYWHERE:
        raise Untraceable(f"the operation {name}")
    return _ANYWHERE[name]


def _argument(argument: Value | float | None, dtype: torch.dtype, prefix: str) -> str:
    if isinstance(argument, Value):
        text = (prefix if argument.scalar else "") + _name(argument)
        if dtype is torch.bool and argument.dtype is not dtype:
            return f"({text} != 0)"
        return text if argument.dtype is dtype else f"({_c_type(dtype)}){text}"
    if argument is None:
        return ""
    number = float(argument)
    if math.isinf(number) or math.isnan(number):
        text = "NAN" if math.isnan(number) else "INFINITY" if number > 0 else "-INFINITY"
    else:
        text = number.hex()
    return f"({_c_type(dtype)}){text}"
