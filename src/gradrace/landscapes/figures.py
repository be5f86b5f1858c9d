"""A still picture of each optimizer's walk, as SVG: computed by the rules in PyTorch, without the page's script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import torch
from torch import Tensor

from gradrace.errors import SpecError
from gradrace.landscapes._script import SHAPE
from gradrace.landscapes.surfaces import RATIO, Surface, surfaces
from gradrace.landscapes.surfaces import surface as named_surface
from gradrace.optimizers import Optimizer, find, optimizers

WIDTH, HEIGHT = 320, 240
CONTOURS = 11
TRIALS = 25
"""Learning rates that are tried for each optimizer, spread over its own range."""
LEAP = 1 / 12
"""Widths of the view that no step of a walk is longer than, as on the page."""


def pictures(names: Sequence[str] | None = None, surface: str | None = None) -> dict[str, str]:
    """One SVG for each optimizer: its walk on a surface without noise, at the rate that is best of ``TRIALS``.

    Args:
        names: of optimizers, or files with one. Default: all of gradrace's own.
        surface: the surface's name. Default: the first of ``surfaces()``.

    Raises:
        SpecError: there is no such optimizer or surface, or an optimizer is no update rule of gradrace's kind.
    """
    ground = named_surface(surface) if surface is not None else next(iter(surfaces().values()))
    found = [find(name) for name in (optimizers() if names is None else names)]
    drawn: dict[str, str] = {}
    for known in found:
        if not isinstance(known, Optimizer):
            raise SpecError(f"'{known.name}' steps by a class of its own, and has no update rule that could be shown.")
        drawn[known.name] = _svg(known, ground, best_walk(known, ground))
    return drawn


def best_walk(optimizer: Optimizer, surface: Surface) -> list[tuple[float, float]]:
    """The points of the best of ``TRIALS`` walks: the lowest mean, over its steps, of the log of the loss.

    Walks that end at a step longer than ``LEAP`` widths of the view count as worst. Without noise.
    """
    dimension = optimizer.space["lr"].to_dict() if "lr" in optimizer.space else {}
    low, high = dimension.get("low", 1e-4) / 10, dimension.get("high", 1e-1) * 10
    rates = [low * (high / low) ** (trial / (TRIALS - 1)) for trial in range(TRIALS)]
    default = optimizer.configure()
    walks = [walk(optimizer, surface, {**default, "lr": rate} if "lr" in default else default) for rate in rates]
    return min(walks, key=lambda path: _score(surface, path))


def walk(optimizer: Optimizer, surface: Surface, hyper: dict[str, float]) -> list[tuple[float, float]]:
    """The points of one walk from the surface's start, until it ends, leaps or diverges."""
    options = optimizer.with_options(None, optimizer.configure())
    absent = {name for name, known in optimizer.hyperparameters.items() if known.absent_at_zero and hyper[name] == 0}
    record = optimizer.hyper(
        **{name: None if name in absent else torch.tensor(v, dtype=torch.float64) for name, v in hyper.items()}
    )
    params = {"point": torch.tensor(surface.start, dtype=torch.float64).reshape(SHAPE)}
    state = optimizer.rule.init(params, options)
    path = [surface.start]
    for step in range(1, surface.steps + 1):
        point = params["point"].flatten().requires_grad_()
        (slope,) = torch.autograd.grad(surface.value(point[0], point[1]), point)
        with torch.no_grad():
            grads = {"point": slope.reshape(SHAPE)}
            count = torch.tensor(float(step), dtype=torch.float64)
            updates, state = optimizer.rule.update(grads, state, params, record, count, options)
            params = {"point": params["point"] + updates["point"]}
        x, y = params["point"].flatten().tolist()
        if not math.dist((x, y), path[-1]) <= LEAP * surface.view[2]:
            break
        path.append((x, y))
    return path


def _score(surface: Surface, path: Sequence[tuple[float, float]]) -> float:
    if len(path) <= surface.steps:
        return math.inf
    losses = surface.value(*torch.tensor(path, dtype=torch.float64).T) - surface.least()
    return float((losses[1:] / losses[0]).clamp(min=1e-4).log10().mean())


def _svg(optimizer: Optimizer, surface: Surface, path: Sequence[tuple[float, float]]) -> str:
    left, bottom, width = surface.view

    def at(point: tuple[float, float]) -> str:
        return f"{(point[0] - left) / width * WIDTH:.1f},{HEIGHT - (point[1] - bottom) / width * WIDTH:.1f}"

    title = f"{optimizer.card.title}: {surface.title}, {len(path) - 1} steps"
    dots = "".join('<circle cx="{}" cy="{}" r="1.5"/>'.format(*at(point).split(",")) for point in path[1:])
    (sx, sy), (mx, my) = at(path[0]).split(","), at(surface.minima[0]).split(",")
    # Colours that can be seen on white and on black, so that one picture does for both.
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">'
        f"<title>{escape(title)}</title>"
        f'<path d="{_contours(surface)}" fill="none" stroke="#8a97a6" stroke-opacity=".55" stroke-width=".8"/>'
        f'<path d="M{mx},{my}m-6,0h12m-6,-6v12" stroke="#7f7f7f" stroke-width="1.5"/>'
        f'<polyline points="{" ".join(map(at, path))}" fill="none" stroke="#0072B2" stroke-width="1.6"/>'
        f'<g fill="#0072B2">{dots}</g>'
        f'<circle cx="{sx}" cy="{sy}" r="5" fill="none" stroke="#7f7f7f" stroke-width="2"/></svg>\n'
    )


def _contours(surface: Surface) -> str:
    """Lines of equal loss, level by level in equal ratios: where an edge of a grid's triangle crosses a level."""
    left, bottom, width = surface.view
    columns, rows = 40, 30
    x = torch.linspace(left, left + width, columns + 1, dtype=torch.float64)
    y = torch.linspace(bottom, bottom + width / RATIO, rows + 1, dtype=torch.float64)
    heights = surface.value(*torch.meshgrid(x, y, indexing="ij")) - surface.least()
    soft = float(heights.median()) * 0.01
    logs = (heights.clamp(min=0) + soft).log()
    low, high = float(logs.min()), float(logs.max())
    lines = []
    for level in range(1, CONTOURS):
        lines += _crossings(logs, low + (high - low) * level / CONTOURS, columns, rows)
    size = WIDTH / columns
    return "".join(
        f"M{a[0] * size:.1f},{HEIGHT - a[1] * size:.1f}l{(b[0] - a[0]) * size:.1f},{(a[1] - b[1]) * size:.1f}"
        for a, b in lines
    )


def _crossings(
    heights: Tensor, level: float, columns: int, rows: int
) -> list[tuple[tuple[float, float], tuple[float, float]]]:
    above = (heights - level).tolist()
    found = []
    for i in range(columns):
        for j in range(rows):
            corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
            for triangle in (corners[:3], [corners[0], *corners[2:]]):
                ends = []
                for (ax, ay), (bx, by) in zip(triangle, [*triangle[1:], triangle[0]], strict=True):
                    first, second = above[ax][ay], above[bx][by]
                    if (first < 0) != (second < 0):
                        part = first / (first - second)
                        ends.append((ax + part * (bx - ax), ay + part * (by - ay)))
                if len(ends) == 2:
                    found.append((ends[0], ends[1]))
    return found
