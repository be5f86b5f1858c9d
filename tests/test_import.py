"""`import gradrace` is cheap and changes nothing of its caller's."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import version
from typing import Any

import pytest

# What is loaded where it is used, not at import. The script runs in a process of its own, as modules stay loaded here.
HEAVY = ["pandas", "rich", "scipy.stats", "sklearn", "typer"]

SCRIPT = f"""
import json, os, random, sys, warnings
import numpy, torch

def globals_now():
    return {{
        "environment": sorted(os.environ.items()),
        "threads": [torch.get_num_threads(), torch.get_num_interop_threads()],
        "random state": repr(random.getstate()),
        "numpy state": repr(numpy.random.get_state()[1].tolist()) + repr(numpy.random.get_state()[2:]),
        "torch state": torch.get_rng_state().tolist(),
        "default dtype": repr(torch.get_default_dtype()),
        "grad mode": torch.is_grad_enabled(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warning filters": repr(warnings.filters),
        "folder": os.getcwd(),
    }}

torch.set_num_threads(1)  # known values: the default would hide a module that sets the default
random.seed(1), numpy.random.seed(2), torch.manual_seed(3)
before = globals_now()
from_torch = set(sys.modules)
import gradrace
loaded = set(sys.modules) - from_torch
public = [getattr(gradrace, name) for name in getattr(gradrace, "__all__", [])]  # what is loaded on first use, too
after = globals_now()
print(json.dumps({{
    "changed": [name for name in before if before[name] != after[name]],
    "heavy": [name for name in {HEAVY!r} if name in loaded],
    "version": getattr(gradrace, "__version__", None),
}}))
"""


@pytest.fixture(scope="module")
def imported() -> dict[str, Any]:
    """What a fresh process saw: globals changed, heavy modules loaded, and the version."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_import_changes_nothing_global(imported: dict[str, Any]) -> None:
    assert imported["changed"] == []


def test_import_loads_nothing_heavy_beyond_torch(imported: dict[str, Any]) -> None:
    assert imported["heavy"] == []


def test_version_is_the_one_of_the_installed_package(imported: dict[str, Any]) -> None:
    assert imported["version"] == version("gradrace")


@pytest.mark.parametrize("module", ["gradrace", "gradrace.cli"])
def test_torch_is_imported_when_it_is_needed(module: str) -> None:
    script = f"import sys, {module}; print('torch' in sys.modules, gradrace.__version__)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["False", version("gradrace")]


def test_functions_stay_so_when_the_packages_of_their_names_are_imported() -> None:
    script = """
import gradrace.race.api, gradrace.optimizers.adam, gradrace.workloads.digits, gradrace
print(callable(gradrace.race), callable(gradrace.optimizers), callable(gradrace.workloads))
print(gradrace.race is gradrace.race.__globals__["race"], gradrace.optim.Adam.__name__)
print(sorted(set(gradrace.__all__) - set(dir(gradrace))), hasattr(gradrace, "nothing"))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split() == ["True", "True", "True", "True", "Adam", "[]", "False"]
