"""Finding optimizers and workloads: one file in the folder, an installed entry point, or a path to a ``.py`` file."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import sys
import traceback
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import cloudpickle

from gradrace.errors import SpecError, WorkloadError


def discover(package: str, attribute: str) -> dict[str, Any]:
    """Every ``attribute`` in the modules of ``package``, and those that third parties registered, by name.

    Modules whose name begins with an underscore are helpers. Third parties use the entry-point group ``package``.

    Raises:
        SpecError: a module without the attribute, or two objects of one name.
    """
    root = importlib.import_module(package)
    sources = [
        (f"{package}.{module.name}", lambda name=module.name: importlib.import_module(f"{package}.{name}"))
        for module in pkgutil.iter_modules(root.__path__)
        if not module.name.startswith("_")
    ]
    found: dict[str, Any] = {}
    for source, load in sources:
        if not hasattr(load(), attribute):
            raise SpecError(f"{source} is in the folder of {package} but has no '{attribute}'.")
        _add(found, getattr(load(), attribute), source)
    for entry in entry_points(group=package):
        _add(found, entry.load(), f"entry point '{entry.name}'")
    return found


def _add(found: dict[str, Any], item: Any, source: str) -> None:
    if item.name in found:
        raise SpecError(f"Two objects are called '{item.name}'; the second comes from {source}. Names must differ.")
    found[item.name] = item


def load_file(path: Path) -> ModuleType:
    """Run a user's ``.py`` file as a module.

    Raises:
        WorkloadError: the file raised; the message carries the traceback, shortened to the user's own lines.
    """
    name = f"_gradrace_file_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError(f"'{path}' cannot be loaded as a Python file.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise WorkloadError(f"{path} raised while it was loaded:\n{users_lines(error, path)}") from error
    cloudpickle.register_pickle_by_value(module)  # other processes cannot import it by its name
    return module


def users_lines(error: BaseException, path: Path | None = None) -> str:
    """A traceback without the frames of gradrace, torch and Python's own machinery."""
    # "<string>" is code that dataclasses write.
    inner = (str(Path(__file__).parent), "importlib", "site-packages", "<frozen", "<string>")
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if (path is not None and frame.filename == str(path)) or not any(part in frame.filename for part in inner)
    ]
    lines = traceback.format_list(frames) + traceback.format_exception_only(error)
    return "".join(lines).rstrip()
