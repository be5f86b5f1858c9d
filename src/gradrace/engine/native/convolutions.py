"""Convolutions as products of matrices: the patches of one image at a time are copied into a panel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from gradrace.engine.native import products
from gradrace.engine.native.elements import TYPES
from gradrace.engine.native.statements import SIMD, Names, nest
from gradrace.engine.native.values import Buffer

LINE = 64


@dataclass(frozen=True)
class Window:
    """How patches lie in a padded image.

    Attributes:
        images: [n, channels, height, width], padded.
        groups: of channels that are convolved apart.
        kernel, stride, dilation, out: heights and widths.
        filters: channels of the result.
    """

    images: tuple[int, int, int, int]
    groups: int
    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    out: tuple[int, int]
    filters: int

    @property
    def channels(self) -> int:
        """Of a group."""
        return self.images[1] // self.groups

    @property
    def terms(self) -> int:
        """Elements of a patch of a group."""
        return self.channels * self.kernel[0] * self.kernel[1]

    @property
    def places(self) -> int:
        """Patches of an image."""
        return self.out[0] * self.out[1]

    @property
    def group_filters(self) -> int:
        """Filters of a group."""
        return self.filters // self.groups

    def source(self) -> str:
        """Where in a padded image an element lies: i0 to i2 channel and place in the kernel, i3 and i4 the patch."""
        height, width = self.images[2:]
        down = f"(i3 * {self.stride[0]} + i1 * {self.dilation[0]}) * {width}"
        return f"i0 * {height * width} + {down} + i4 * {self.stride[1]} + i2 * {self.dilation[1]}"

    @property
    def sizes(self) -> tuple[int, int, int, int, int]:
        """Of the loops over all elements of all patches."""
        return (self.channels, *self.kernel, *self.out)


@dataclass
class Convolution:
    """A convolution, or its gradient by the filters or by the images.

    With patches ``p`` [terms, places] of an image: the result is ``w p``, the gradient by the filters is transposed the
    sum over images of ``p g'``, and that by the images what ``w' g`` adds to where each patch came from.

    Attributes:
        kind: which of the three.
        out: [n, filters, places]; or [groups, terms, filters of a group]; or padded images, zeros so far.
        window: the sizes.
        images: padded images, or None where they are the result.
        weights: [filters, terms], or None where they are the result.
        grad: [n, filters, places], for gradients.
    """

    kind: Literal["forward", "filters", "images"]
    out: Buffer
    window: Window
    images: Buffer | None
    weights: Buffer | None
    grad: Buffer | None

    def _wide(self, width: int) -> int:
        lanes = width // self.out.dtype.itemsize
        return -(-self.window.places // lanes) * lanes

    def _patches(self, width: int) -> int:
        """Bytes of the patches of an image."""
        return -(-self.window.terms * self._wide(width) * self.out.dtype.itemsize // LINE) * LINE

    def panel(self, width: int) -> int:
        """See ``Statement``."""
        window, size = self.window, self.out.dtype.itemsize
        inner, columns = (
            (window.places, window.group_filters) if self.kind == "filters" else (window.filters, window.places)
        )
        return self._patches(width) + products.room(inner, columns, width, size)

    def reads(self) -> set[Buffer]:
        """See ``Statement``."""
        return {buffer for buffer in (self.images, self.weights, self.grad) if buffer is not None}

    def writes(self) -> tuple[Buffer, ...]:
        """See ``Statement``."""
        return (self.out,)

    def lines(self, names: Names) -> list[str]:
        """See ``Statement``."""
        window, real = self.window, TYPES[self.out.dtype]
        wide = self._wide(names.width)
        multiply = "product_f" if self.out.dtype is torch.float32 else "product_d"
        count, channels, height, width = window.images
        image = f"(n * {channels} + g * {window.channels}) * {height * width}"
        result = f"(n * {window.filters} + g * {window.group_filters}) * {window.places}"
        place = f"((i0 * {window.kernel[0]} + i1) * {window.kernel[1]} + i2) * {wide} + i3 * {window.out[1]} + i4"
        filters, terms, places = window.group_filters, window.terms, window.places
        body = [f"{real} *patches = ({real} *)panel;", f"void *rest = (char *)panel + {self._patches(names.width)};"]
        if self.kind != "images":
            assert self.images is not None
            image_name = names.of(self.images)
            body.append(f"const {real} *image = {image_name} + {image};")
            body += nest(window.sizes, [f"patches[{place}] = image[{window.source()}];"], SIMD)
            if wide > places:
                body += nest((terms,), [f"for (int64_t j = {places}; j < {wide}; j++) patches[i0 * {wide} + j] = 0;"])
        if self.kind == "forward":
            assert self.weights is not None
            weights = f"{names.of(self.weights)} + g * {filters * terms}"
            out = f"{names.of(self.out)} + {result}"
            body.append(
                f"{multiply}({filters}, {places}, {terms}, {weights}, {terms}, 1, patches, {wide}, 1, {out}, {places}, "
                "2, 0, rest);"
            )
        elif self.kind == "filters":
            assert self.grad is not None
            grad = f"{names.of(self.grad)} + {result}"
            out = f"{names.of(self.out)} + g * {terms * filters}"
            body.append(
                f"{multiply}({terms}, {filters}, {places}, patches, {wide}, 1, {grad}, 1, {places}, {out}, {filters}, "
                "1, n > 0, rest);"
            )
        else:
            assert self.weights is not None
            assert self.grad is not None
            weights = f"{names.of(self.weights)} + g * {filters * terms}"
            grad, out = f"{names.of(self.grad)} + {result}", f"{names.of(self.out)} + {image}"
            sizes = f"{terms}, {places}, {filters}"
            body.append(
                f"{multiply}({sizes}, {weights}, 1, {terms}, {grad}, {places}, 1, patches, {wide}, 0, 0, rest);"
            )
            body.append(f"{real} *image = {out};")
            body += nest(window.sizes, [f"image[{window.source()}] += patches[{place}];"], SIMD)
        head = f"for (int64_t n = 0; n < {count}; n++) for (int64_t g = 0; g < {window.groups}; g++) {{"
        return [head, *body, "}"]


@dataclass
class MaxPool:
    """The greatest element of every patch [n, channels, places], and its place in the image, of padded images.

    ``pads``: rows and columns that padding put before the image of ``size`` height and width, which places count in.
    """

    out: Buffer
    places: Buffer
    window: Window
    images: Buffer
    pads: tuple[int, int]
    size: tuple[int, int]

    def panel(self, width: int) -> int:
        """See ``Statement``."""
        return 0

    def reads(self) -> set[Buffer]:
        """See ``Statement``."""
        return {self.images}

    def writes(self) -> tuple[Buffer, ...]:
        """See ``Statement``."""
        return self.out, self.places

    def lines(self, names: Names) -> list[str]:
        """See ``Statement``."""
        window, real = self.window, TYPES[self.out.dtype]
        count, channels, height, width = window.images
        body = [f"const {real} *image = {names.of(self.images)} + i0 * {height * width};"]
        body += [f"{real} best = -INFINITY; int32_t place = 0, first = 1;"]
        for y in range(window.kernel[0]):
            for x in range(window.kernel[1]):
                row = f"(i1 * {window.stride[0]} + {y * window.dilation[0]})"
                column = f"(i2 * {window.stride[1]} + {x * window.dilation[1]})"
                down, across = f"({row} - {self.pads[0]})", f"({column} - {self.pads[1]})"
                within = [f"{down} >= 0 && {down} < {self.size[0]}"] if self.pads[0] else []
                within += [f"{across} >= 0 && {across} < {self.size[1]}"] if self.pads[1] else []
                # Padding is never taken, though an image may be as low everywhere.
                inside = "".join(f" && {condition}" for condition in within)
                body.append(
                    f"{{ const {real} v = image[{row} * {width} + {column}]; const int take = (v > best || v != v || "
                    f"(first && v == best)){inside}; best = take ? v : best; first = take ? 0 : first; "
                    f"place = take ? (int32_t)({down} * {self.size[1]} + {across}) : place; }}"
                )
        to = f"(i0 * {window.out[0]} + i1) * {window.out[1]} + i2"
        body += [f"{names.of(self.out)}[{to}] = best;", f"{names.of(self.places)}[{to}] = place;"]
        return nest((count * channels, *window.out), body, SIMD)
