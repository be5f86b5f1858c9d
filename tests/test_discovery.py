"""Finding optimizers and workloads by scanning a folder, and what a user's broken file says."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import gradrace._discovery
from gradrace._discovery import discover, load_file, users_lines
from gradrace.errors import SpecError, WorkloadError

NUMBERS = count()
ITEM = "from types import SimpleNamespace\nthing = SimpleNamespace(name='{name}', file=__name__)\n"


class Package:
    """A package in a temporary folder; each has a name of its own."""

    def __init__(self, folder: Path) -> None:
        self.name = f"discovered_{next(NUMBERS)}"
        self.folder = folder / self.name
        self.folder.mkdir()
        self.write("__init__", "")

    def write(self, module: str, text: str) -> None:
        (self.folder / f"{module}.py").write_text(text, encoding="utf-8")
        importlib.invalidate_caches()

    def discover(self) -> dict[str, Any]:
        return discover(self.name, "thing")


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Package]:
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Package(tmp_path)
    yield made
    for name in [name for name in sys.modules if name.split(".")[0] == made.name]:
        del sys.modules[name]


class EntryPoint:
    """What an installed package registers."""

    def __init__(self, name: str, thing: Any) -> None:
        self.name, self.load = name, lambda: thing


def install(monkeypatch: pytest.MonkeyPatch, group: str, *entries: EntryPoint) -> None:
    monkeypatch.setattr(
        gradrace._discovery, "entry_points", lambda **asked: entries if asked == {"group": group} else ()
    )


def test_one_file_is_one_thing(package: Package) -> None:
    package.write("one", ITEM.format(name="first"))
    package.write("two", ITEM.format(name="second"))
    package.write("_helper", "raise RuntimeError('a helper is not imported by being there')")
    assert list(package.discover()) == ["first", "second"]
    assert package.discover()["second"].file == f"{package.name}.two"


def test_a_file_without_the_thing_is_an_error(package: Package) -> None:
    package.write("one", ITEM.format(name="first"))
    package.write("empty", "something_else = 1")
    with pytest.raises(SpecError) as caught:
        package.discover()
    assert str(caught.value) == f"{package.name}.empty is in the folder of {package.name} but has no 'thing'."


def test_a_name_twice_is_an_error(package: Package) -> None:
    package.write("one", ITEM.format(name="same"))
    package.write("two", ITEM.format(name="same"))
    with pytest.raises(SpecError) as caught:
        package.discover()
    assert str(caught.value) == (
        f"Two objects are called 'same'; the second comes from {package.name}.two. Names must differ."
    )


def test_an_error_in_a_file_of_the_folder_is_not_hidden(package: Package) -> None:
    package.write("broken", "1 / 0")
    with pytest.raises(ZeroDivisionError):
        package.discover()


def test_installed_packages_add_theirs(package: Package, monkeypatch: pytest.MonkeyPatch) -> None:
    package.write("one", ITEM.format(name="first"))
    theirs = SimpleNamespace(name="theirs")
    install(monkeypatch, package.name, EntryPoint("entry", theirs))
    assert list(package.discover()) == ["first", "theirs"]
    assert package.discover()["theirs"] is theirs
    install(monkeypatch, package.name, EntryPoint("entry", SimpleNamespace(name="first")))
    with pytest.raises(SpecError, match=r"Two objects are called 'first'; the second comes from entry point 'entry'\."):
        package.discover()


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def test_a_users_file_is_run_as_a_module(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "from __future__ import annotations", "workload = __name__")
    module = load_file(path)
    assert module.workload == module.__name__
    assert sys.modules.pop(module.__name__) is module


def test_a_users_error_shows_the_users_lines_alone(tmp_path: Path) -> None:
    path = write(
        tmp_path / "mine.py",
        "from gradrace.workloads import Workload",
        "def build():",
        "    return Workload('mine', None, None, 'mse', train=1, validation=0, test=0, steps=0)",
        "workload = build()",
    )
    with pytest.raises(WorkloadError) as caught:
        load_file(path)
    message = str(caught.value)
    assert message.startswith(f"{path} raised while it was loaded:\n")
    assert f'File "{path}", line 4, in <module>' in message
    assert f'File "{path}", line 3, in build' in message
    assert message.count('File "') == 2  # neither gradrace's frames nor the import system's
    assert "_base.py" not in message
    assert message.endswith("SpecError: Workload 'mine' has steps 0; it must be a whole number, at least 1.")
    assert isinstance(caught.value.__cause__, SpecError)
    assert "_gradrace_file_mine" not in sys.modules


def test_a_users_file_that_is_not_python(tmp_path: Path) -> None:
    path = write(tmp_path / "mine.py", "x = 1", "y = = 2")
    with pytest.raises(WorkloadError) as caught:
        load_file(path)
    assert f'File "{path}", line 2' in str(caught.value)
    assert "SyntaxError" in str(caught.value)
    with pytest.raises(SpecError, match=r"notes.txt' cannot be loaded as a Python file\."):
        load_file(tmp_path / "notes.txt")


def test_frames_of_torch_are_left_out() -> None:
    import torch

    def call() -> None:
        torch.nn.functional.linear(torch.ones(2), torch.nn.Linear(3, 1)(torch.ones(4)))

    with pytest.raises(RuntimeError) as caught:
        call()
    message = users_lines(caught.value)
    assert "in call" in message
    assert "site-packages" not in message
    assert message.splitlines()[-1].startswith("RuntimeError: ")


def test_helpers_of_a_users_file_are_the_users_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    helper = write(tmp_path / "helper_of_mine.py", "def fail():", "    raise ValueError('no data')")
    path = write(tmp_path / "mine.py", "import helper_of_mine", "helper_of_mine.fail()")
    with pytest.raises(WorkloadError) as caught:
        load_file(path)
    assert f'File "{helper}", line 2, in fail' in str(caught.value)
    assert f'File "{path}", line 2, in <module>' in str(caught.value)
