"""Products of small matrices in C: tiles of the result stay in registers while the inner dimension runs."""

from __future__ import annotations

WIDE = 64
"""Bytes of a vector register with AVX-512."""


def vector_bytes(about: str) -> int:
    """Bytes of a vector register, by what the compiler says of the machine."""
    return WIDE if "__AVX512F__" in about else WIDE // 2 if "__AVX__" in about else WIDE // 4


def rows_of_tile(width: int) -> int:
    """Rows of a tile of two vectors that the registers hold: 32 of them with AVX-512, else 16."""
    return 12 if width == WIDE else 6


INNER, COLUMNS = 256, 256
"""Terms of the inner dimension, and columns, that are dealt with before the next ones: what they are of the second
factor stays in the second cache."""

_HEAD = """\
typedef {real} vec_{f} __attribute__((vector_size({width}), aligned(sizeof({real})), may_alias));
"""

_DRIVER = """\
/* c[m][n] = sum over k of a[m][k] b[k][n], added to what c holds if `more`. `room` is for {inner} rows of b, filled up
   to whole vectors, into which b is copied first if `pack` is 1. If it is 2 b's rows are filled up already. */
static __attribute__((noinline)) void columns_{f}(int64_t m, int64_t n, int64_t k, const {real} *a, int64_t ar,
        int64_t ac, const {real} *b, int64_t br, int64_t bc, {real} *c, int64_t cr, int pack, int more, void *room) {{
    {real} *panel = ({real} *)room;
    const int64_t v = {lanes}, tiles = (m + {rows} - 1) / {rows};
    for (int64_t k0 = 0; k0 < k; k0 += {inner}) {{
        const int64_t depth = k - k0 < {inner} ? k - k0 : {inner}, whole = n / v * v, wide = (n + v - 1) / v * v;
        const {real} *from = b + k0 * br;
        if (pack == 1) {{
            if (bc == 1) {{
                for (int64_t i = 0; i < depth; i++) {{
                    for (int64_t j = 0; j < n; j++) panel[i * wide + j] = from[i * br + j];
                    for (int64_t j = n; j < wide; j++) panel[i * wide + j] = 0;
                }}
            }} else {{
                /* Some columns at a time: reads run along memory, and writes stay within few lines. */
                for (int64_t j0 = 0; j0 < wide; j0 += v) for (int64_t i = 0; i < depth; i++)
                    for (int64_t j = j0; j < j0 + v; j++) panel[i * wide + j] = j < n ? from[i * br + j * bc] : 0;
            }}
        }} else if (!pack && whole < n) {{
            for (int64_t i = 0; i < depth; i++)
                for (int64_t j = 0; j < v; j++) panel[i * v + j] = whole + j < n ? from[i * br + whole + j] : 0;
        }}
        for (int64_t t = 0; t < tiles; t++) {{
            const int64_t i = m * t / tiles, height = m * (t + 1) / tiles - i;
            const {real} *left = a + i * ar + k0 * ac;
            for (int64_t j = 0; j < n; j += 2 * v) {{
                const int two = n - j > v, part = n - j < 2 * v && n % v;
                {real} *out = c + i * cr + j, some[{rows} * 2 * {lanes}];
                const {real} *right = pack == 1 ? panel + j : from + j, *last = right + v;
                int64_t step = pack == 1 ? wide : br, after = step;
                if (!pack && part) {{
                    if (two) {{ last = panel; after = v; }} else {{ right = panel; step = v; }}
                }}
                if (part) {{
                    const int64_t left_over = n - j;
                    if (k0 || more) for (int64_t x = 0; x < height; x++)
                        for (int64_t y = 0; y < left_over; y++) some[x * 2 * v + y] = out[x * cr + y];
                    tile_{f}(height, two, depth, left, ar, ac, right, step, last, after, some, 2 * v, k0 || more);
                    for (int64_t x = 0; x < height; x++)
                        for (int64_t y = 0; y < left_over; y++) out[x * cr + y] = some[x * 2 * v + y];
                }} else tile_{f}(height, two, depth, left, ar, ac, right, step, last, after, out, cr, k0 || more);
            }}
        }}
    }}
}}

static void product_{f}(int64_t m, int64_t n, int64_t k, const {real} *a, int64_t ar, int64_t ac, const {real} *b,
        int64_t br, int64_t bc, {real} *c, int64_t cr, int pack, int more, void *room) {{
    for (int64_t j = 0; j < n; j += {columns})
        columns_{f}(m, n - j < {columns} ? n - j : {columns}, k, a, ar, ac, b + j * bc, br, bc, c + j, cr, pack, more,
                room);
}}
"""


def room(inner: int, columns: int, width: int, size: int) -> int:
    """Bytes that ``panel`` needs for a second factor [inner, columns] of numbers of ``size`` bytes."""
    lanes = width // size
    return min(inner, INNER) * -(-min(columns, COLUMNS) // lanes) * lanes * size


def source(real: str, width: int) -> str:
    """The function ``product_f`` or ``product_d``."""
    f, size = real[0], 4 if real == "float" else 8
    lanes, rows = width // size, rows_of_tile(width)
    parts = [_HEAD.format(real=real, f=f, width=width)]
    for height in range(1, rows + 1):
        for two in (0, 1):
            parts.append(_tile(real, f, height, two, lanes))
    cases = "\n".join(
        f"        case {2 * height + two}: tile_{f}_{height}_{two}(k, a, ar, ac, b, br, d, dr, c, cr, more); return;"
        for height in range(1, rows + 1)
        for two in (0, 1)
    )
    signature = _signature(real)
    parts.append(
        f"static inline void tile_{f}(int64_t height, int two, {signature}) {{\n"
        f"    switch (2 * height + two) {{\n{cases}\n    }}\n}}\n"
    )
    parts.append(_DRIVER.format(real=real, f=f, lanes=lanes, rows=rows, inner=INNER, columns=COLUMNS))
    return "\n".join(parts)


def _signature(real: str) -> str:
    return (
        f"int64_t k, const {real} *a, int64_t ar, int64_t ac, const {real} *b, int64_t br, const {real} *d, "
        f"int64_t dr, {real} *c, int64_t cr, int more"
    )


def _tile(real: str, f: str, height: int, two: int, lanes: int) -> str:
    """A tile of ``height`` rows and one vector, or two: from ``b`` and from ``d``."""
    vec = f"vec_{f}"
    columns = range(1 + two)
    lines = [f"static __attribute__((noinline)) void tile_{f}_{height}_{two}({_signature(real)}) {{"]
    for x in range(height):
        for y in columns:
            place = f"c + {x} * cr + {y * lanes}"
            lines.append(f"    {vec} s{x}_{y} = more ? *({vec} *)({place}) : ({vec}){{0}};")
    lines.append("    for (int64_t i = 0; i < k; i++) {")
    lines.append(f"        const {vec} b0 = *(const {vec} *)(b + i * br);")
    if two:
        lines.append(f"        const {vec} b1 = *(const {vec} *)(d + i * dr);")
    lines.append(f"        const {real} *p = a + i * ac;")
    for x in range(height):
        lines.append(
            f"        {{ const {real} f = p[{x} * ar]; " + " ".join(f"s{x}_{y} += f * b{y};" for y in columns) + " }"
        )
    lines.append("    }")
    for x in range(height):
        for y in columns:
            lines.append(f"    *({vec} *)(c + {x} * cr + {y * lanes}) = s{x}_{y};")
    return "\n".join([*lines, "}"])
