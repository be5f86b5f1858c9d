"""A program's statements as one C file: buffers placed in memory, statements in functions of some size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from gradrace.engine.native import products
from gradrace.engine.native.elements import TYPES
from gradrace.engine.native.lowering import Lowering
from gradrace.engine.native.scatterings import Scattering, Table
from gradrace.engine.native.statements import Elements, Names, Statement
from gradrace.engine.native.values import Buffer

LINE = 64
"""Bytes of a line of cache, at whose beginning every buffer lies."""
TOGETHER = 40
"""Statements in one C function: compilers take longer than in proportion for long ones."""

_HEAD = r"""#include <math.h>
#include <stdint.h>
#include <string.h>

/* The vector forms of these that come with the GNU C library; its own header offers them to imprecise code alone,
   though their errors are within four units in the last place. */
#if defined __x86_64__ && defined __GLIBC__ && defined _OPENMP
#define VECTOR(name) _Pragma("omp declare simd notinbranch") float name##f(float); \
    _Pragma("omp declare simd notinbranch") double name(double);
VECTOR(log) VECTOR(sin) VECTOR(cos)
#if __GLIBC_PREREQ(2, 35)
VECTOR(tanh) VECTOR(erf) VECTOR(expm1) VECTOR(log1p) VECTOR(log2)
#endif
#endif

/* exp(x) = 2^n exp(r), |r| < 0.35, by Taylor's series. In loops it becomes vector code on every processor; the C
   library's own takes one number after another where some are infinite, as masked scores of an attention are. */
EXPONENTIALS

/* Pieces of the gradient that are not zero; `marks` has a byte for each row of all tables. */
typedef struct { int64_t count, *starts, *sizes; char *marks; } Touched;
static inline void touch(Touched *touched, int64_t row, int64_t start, int64_t size) {
    if (touched->marks[row]) return;
    touched->marks[row] = 1;
    touched->starts[touched->count] = start;
    touched->sizes[touched->count++] = size;
}

/* A computed index, from the end if negative. One that is out of range is told, and reads the first element. */
static inline int64_t at(int64_t index, int64_t count, int *bad) {
    index += index < 0 ? count : 0;
    if (index < 0 || index >= count) { *bad = 1; return 0; }
    return index;
}
"""

_EXPONENTIAL = """\
static inline {real} exp_{f}({real} x) {{
    const {real} t = x < {least} ? {least} : x > {most} ? {most} : x, n = rint{s}(t * 1.4426950408889634{s});
    const {real} r = (t - n * {upper}) - n * {lower};
    const int{bits}_t m = (int{bits}_t)n, half = m / 2;
    union {{ int{bits}_t i; {real} f; }} a = {{ (half + {bias}) << {shift} }}, b = {{ (m - half + {bias}) << {shift} }};
    return ({series}) * a.f * b.f;
}}
"""


def _exponentials() -> str:
    """The functions ``exp_f`` and ``exp_d``: ln 2 is subtracted in two parts, of which the first one is short."""
    names = ("real", "f", "s", "bits", "bias", "shift", "least", "most", "upper", "lower", "series")
    single = ("float", "f", "f", 32, 127, 23, "-104.0f", "89.0f", "0.693359375f", "-2.12194440e-4f", _series(7, "f"))
    parts = ("6.93147180369123816490e-01", "1.90821492927058770002e-10")
    double = ("double", "d", "", 64, 1023, 52, "-746.0", "710.0", *parts, _series(13, ""))
    return "\n".join(_EXPONENTIAL.format(**dict(zip(names, words, strict=True))) for words in (single, double))


def _series(degree: int, suffix: str) -> str:
    """Taylor's series of exp(r) up to a degree, by Horner's rule."""
    text = f"{1 / math.factorial(degree)!r}{suffix}"
    for term in reversed(range(degree)):
        text = f"{1 / math.factorial(term)!r}{suffix} + r * ({text})"
    return text


_RUN = """\
/* For every trial: `in` and `out` are arrays of places, each of which moves by its stride from trial to trial. */
int run(int64_t trials, char **in, const int64_t *in_strides, char **out, const int64_t *out_strides, char **constant,
        char *scratch) {{
    int bad = 0;
    char *i[{inputs} + 1], *o[{outputs} + 1];
    for (int64_t t = 0; t < trials; t++) {{
        for (int n = 0; n < {inputs}; n++) i[n] = in[n] + t * in_strides[n];
        for (int n = 0; n < {outputs}; n++) o[n] = out[n] + t * out_strides[n];
        bad |= program(i, o, constant, scratch, 0);
    }}
    return bad;
}}

/* See `Training` in program.py. */
typedef struct {{
    int64_t tables;
    void (*pieces)(int64_t, const int64_t *, const int64_t *, char *const *, double *);
    Touched touched;
    const int64_t *dense_starts, *dense_sizes;
    int64_t dense;
    int64_t trials, steps, size, own;
    char **in;
    const int64_t *in_strides, *in_steps, *stream;
    char **out;
    const int64_t *out_strides, *out_steps;
    char **constant, *scratch, *grad;
    void (*update)(int64_t, int64_t, char *const *, double *, int64_t);
    char **rows, **row;
    int64_t columns, row_bytes;
    double *numbers;
    int64_t width, clock, first, rate;
    const double *rates, *factors;
    int64_t factors_step, item;
}} Training;

/* One trial after another, each for some steps: what it needs stays in the cache. */
int train(const Training *a) {{
    int bad = 0;
    char *i[{inputs} + 1], *o[{outputs} + 1], **row = a->row;
    for (int64_t t = 0; t < a->trials; t++) {{
        for (int64_t n = 1; n < a->columns; n++) row[n] = a->rows[n] + t * a->row_bytes;
        row[0] = a->grad;
        for (int64_t s = 0; s < a->steps; s++) {{
            i[0] = row[1];
            for (int64_t n = 1; n < {inputs}; n++)
                i[n] = a->in[n] + s * a->in_steps[n] + (n <= a->own ? t : a->stream[t]) * a->in_strides[n];
            for (int64_t n = 0; n < {outputs}; n++) o[n] = a->out[n] + s * a->out_steps[n] + t * a->out_strides[n];
            o[1] = a->grad;
            Touched some = a->touched;
            for (some.count = 0; some.count < a->dense; some.count++) {{
                some.starts[some.count] = a->dense_starts[some.count];
                some.sizes[some.count] = a->dense_sizes[some.count];
            }}
            bad |= program(i, o, a->constant, a->scratch, a->pieces ? &some : 0);
            for (int64_t n = 0; n < a->own; n++)
                memcpy(i[1 + n], o[2 + n], a->out_strides[2 + n]);
            double *mine = a->numbers + t * a->width;
            mine[a->clock] = (double)(a->first + s);
            if (a->factors) mine[a->rate] = a->rates[t] * a->factors[s * a->factors_step + t];
            if (a->pieces) {{
                a->pieces(some.count, some.starts, some.sizes, row, mine);
                for (int64_t n = a->dense; n < some.count; n++)
                    memset(a->grad + some.starts[n] * a->item, 0, some.sizes[n] * a->item);
                memset(some.marks, 0, a->tables);
            }} else a->update(1, a->size, row, mine, a->width);
        }}
    }}
    return bad;
}}
"""
_ARGUMENTS = "char *const *in, char *const *out, char *const *constant, char *scratch, Touched *touched"


@dataclass(frozen=True)
class Written:
    """A program in C, the bytes of scratch memory that it needs, and the tables in its gradient with their rows."""

    text: str
    scratch: int
    tables: list[tuple[Table, int]]


def written(low: Lowering, width: int) -> Written:
    """The C file of a program, for vector registers of so many bytes."""
    tables = _tables(low) if len(low.outputs) > 1 else []
    places, total = _placed(low.statements)
    names: dict[Buffer, str] = {}
    for buffer in low.inputs:
        names[buffer] = f"in[{buffer.place}]"
    for statement in low.statements:
        for buffer in (*statement.reads(), *statement.writes()):
            root, _ = buffer.root()
            if root.kind == "scratch":
                names[root] = f"scratch + {places[root]}"
            else:
                kind = {"input": "in", "output": "out", "constant": "constant"}[root.kind]
                names[root] = f"{kind}[{root.place}]"
    rooms = [statement.panel(width) for statement in low.statements]
    panel = max(rooms, default=0)
    multiplying = [s.writes()[0].dtype for s, room in zip(low.statements, rooms, strict=True) if room]
    reals = dict.fromkeys(TYPES[dtype] for dtype in multiplying)
    parts = [_HEAD.replace("EXPONENTIALS", _exponentials()), *(products.source(real, width) for real in reals)]
    calls = []
    for start in range(0, len(low.statements), TOGETHER):
        name = f"part{start // TOGETHER}"
        parts.append(_function(name, low.statements[start : start + TOGETHER], names, total, width))
        calls.append(f"    bad |= {name}(in, out, constant, scratch, touched);")
    signature = f"static int program({_ARGUMENTS})"
    parts.append("\n".join([f"{signature} {{", "    int bad = 0;", *calls, "    return bad;", "}"]))
    parts.append(_RUN.format(inputs=len(low.inputs), outputs=len(low.outputs)))
    return Written("\n\n".join(parts), total + panel + LINE, tables)


def _tables(low: Lowering) -> list[tuple[Table, int]]:
    """Find the parts of the gradient, the second of the results, of which few rows are touched; with their rows."""
    tables: list[tuple[Table, int]] = []
    first = 0
    for statement in low.statements:
        found = statement.rows_of(low.outputs[1]) if isinstance(statement, Scattering) else None
        if found is None or not isinstance(statement, Scattering):
            continue
        buffer = statement.target.buffer
        others = [s for s in low.statements if s is not statement and buffer in s.writes()]
        if len(others) != 1 or not isinstance(others[0], Elements) or not others[0].is_zero:
            continue
        others[0].needless = True
        rows = buffer.size // found[1]
        statement.table = Table(found[0], found[1], first)
        tables.append((statement.table, rows))
        first += rows
    return tables


def _function(name: str, statements: Sequence[Statement], places: dict[Buffer, str], panel: int, width: int) -> str:
    lines = [
        f"static __attribute__((noinline)) int {name}({_ARGUMENTS}) {{",
        "int bad = 0;",
        f"void *panel = scratch + {panel}; (void)panel; (void)in; (void)out; (void)constant; (void)touched;",
    ]
    for statement in statements:
        names = Names(places, width)
        body = statement.lines(names)
        lines += ["{", *names.declared, *body, "}"]
    return "\n".join([*lines, "return bad;", "}"])


def _placed(statements: Sequence[Statement]) -> tuple[dict[Buffer, int], int]:
    """Where in the scratch memory each buffer lies, and how large that is; buffers not needed at once share memory."""
    first: dict[Buffer, int] = {}
    last: dict[Buffer, int] = {}
    for time, statement in enumerate(statements):
        for buffer in (*statement.reads(), *statement.writes()):
            root, _ = buffer.root()
            if root.kind == "scratch":
                first.setdefault(root, time)
                last[root] = time
    places: dict[Buffer, int] = {}
    live: list[Buffer] = []
    total = 0
    for buffer in sorted(first, key=first.__getitem__):
        live = [other for other in live if last[other] >= first[buffer]]
        size, place = _bytes(buffer), 0
        for other in sorted(live, key=places.__getitem__):
            if place + size <= places[other]:
                break
            place = max(place, places[other] + _bytes(other))
        places[buffer] = place
        live.append(buffer)
        total = max(total, place + size)
    return places, total


def _bytes(buffer: Buffer) -> int:
    return -(-buffer.size * buffer.dtype.itemsize // LINE) * LINE
