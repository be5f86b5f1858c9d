"""Any other optimizer as a contender: a ``torch.optim.Optimizer`` class or a function that makes one, as it is."""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from gradrace._discovery import load_file
from gradrace.errors import SpecError, unknown_name
from gradrace.optimizers._base import Optimizer, written
from gradrace.space import Dimension, LogUniform

RANGES = {
    "ASGD": LogUniform(1e-4, 10),
    "Adadelta": LogUniform(1e-3, 10),
    "Adafactor": LogUniform(1e-4, 1),
    "Adagrad": LogUniform(1e-4, 10),
    "LBFGS": LogUniform(1e-3, 10),
    "Muon": LogUniform(1e-4, 1),
    "SGD": LogUniform(1e-4, 10),
}
"""Learning rates of the ``torch.optim`` classes that are not on Adam's scale; the others have Adam's range."""
ADAM_RANGE = LogUniform(1e-5, 1e-1)
DECADES_AROUND_DEFAULT = 2
"""Other classes are tuned this far below and above their own default, and the edge rule of the protocol goes on."""


@dataclass(frozen=True, eq=False)
class TorchOptimizer:
    """A class or function that is called as ``make(parameters, **hyperparameters)``; it races one model at a time.

    Args:
        name: what it is called by default, and how it is found again where it can be.
        make: the class or function.
        source: where a stored race finds it again: ``{"kind": "import", "module": …, "name": …}``, ``{"kind": "file",
            "path": …, "name": …}`` or ``{"kind": "object"}``, which only the same script can give again.
        space: which keyword arguments a study tunes by default.
    """

    name: str
    make: Callable[..., torch.optim.Optimizer]
    source: Mapping[str, str]
    space: Mapping[str, Dimension] = field(default_factory=dict)
    special_cases: tuple[str, ...] = ()
    gradient_evaluations: int = 1
    options: Mapping[str, bool] = field(default_factory=dict)

    @property
    def hyperparameters(self) -> dict[str, float]:
        """Keyword arguments that are numbers, with their defaults; without a default, the middle of the space."""
        found = {}
        for name, parameter in list(inspect.signature(self.make).parameters.items())[1:]:
            if name in self.space and not _is_number(parameter.default):
                found[name] = self.space[name].value(0.5)
            elif _is_number(parameter.default):
                found[name] = float(parameter.default)
        return found

    def accepts(self, name: str) -> bool:
        """Whether there is a keyword argument of this name."""
        parameters = inspect.signature(self.make).parameters
        return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    def configure(self, hyper: Mapping[str, float] | None = None) -> dict[str, float]:
        """What to call it with: what is given, and the learning rate even if it is not."""
        given = dict(hyper or {})
        for name, value in given.items():
            if not self.accepts(name):
                names = ", ".join(list(inspect.signature(self.make).parameters)[1:])
                raise SpecError(f"{self.name} has no argument '{name}'. It has: {names}.")
            if not _is_number(value) or math.isnan(value):
                raise SpecError(f"{name} of {self.name} must be a number, but is {value!r}.")
        needed = {name: value for name, value in self.hyperparameters.items() if name in self.space}
        return {**needed, **given}

    def with_options(
        self, options: Mapping[str, bool] | None, hyper: Mapping[str, float] | None = None
    ) -> dict[str, bool]:
        """It has none of the structural options of rules: fix arguments in a function instead."""
        if options:
            raise SpecError(
                f"{self.name} takes no options, but got {', '.join(options)}. Pass a function instead, such as "
                f"lambda params, lr: {self.name}(params, lr=lr, …)."
            )
        return {}

    def code(self, hyper: Mapping[str, float], options: Mapping[str, bool] | None = None) -> str:
        """The line to paste."""
        arguments = "".join(f", {name}={written(value)}" for name, value in hyper.items())
        return f"{self.name}(model.parameters(){arguments})"

    def build(self, params: Iterable[torch.nn.Parameter], hyper: Mapping[str, float]) -> torch.optim.Optimizer:
        """The optimizer of one model.

        Raises:
            SpecError: what was made is no ``torch.optim.Optimizer``.
        """
        made = self.make(params, **hyper)
        if not isinstance(made, torch.optim.Optimizer):
            raise SpecError(f"{self.name} must make a torch.optim.Optimizer, but made {type(made).__name__}.")
        return made


AnyOptimizer = Optimizer | TorchOptimizer


def resolve(given: object, known: Mapping[str, Optimizer], tuned: Iterable[str] = ()) -> AnyOptimizer:
    """An optimizer from what a user may give.

    A name of ours; a dotted name (``torch.optim.NAdam``) or ``module:Name``; a ``.py`` file; the name of a class in
    pytorch_optimizer, if that is installed; an ``Optimizer``; a ``torch.optim.Optimizer`` class or a function of
    parameters that makes one.

    Args:
        given: the above.
        known: our own optimizers by name.
        tuned: names for which a search space is given, so that none is needed here.

    Raises:
        SpecError: nothing of that name, or something that is no optimizer. WorkloadError: a file that raises.
    """
    if isinstance(given, Optimizer | TorchOptimizer):
        return given
    if callable(given):
        return _from_object(given, tuned)
    if not isinstance(given, str | Path):
        raise SpecError(
            "A contender's optimizer is a name, a gradrace Optimizer, a torch.optim.Optimizer class or a function that "
            f"makes one, but is {type(given).__name__}."
        )
    text = str(given)
    if text in known:
        return known[text]
    if text.endswith(".py"):
        return _from_file(Path(text), tuned)
    if "." in text or ":" in text:
        return _imported(text, tuned)
    zoo = _zoo()
    if text.lower() in zoo:
        name = zoo[text.lower()]
        return _imported(f"pytorch_optimizer.{name}", tuned)
    raise unknown_name("optimizer", text, known)


def _from_object(make: Any, tuned: Iterable[str]) -> AnyOptimizer:
    """A class that any process can import is known by its name, any other only as itself."""
    name, module = getattr(make, "__qualname__", type(make).__name__), getattr(make, "__module__", "__main__")
    source = {"kind": "object"}
    if module != "__main__" and "<" not in name and getattr(sys.modules.get(module), name, None) is make:
        source = {"kind": "import", "module": module, "name": name}
    return _wrap(make, name, source, tuned)


def _imported(text: str, tuned: Iterable[str]) -> AnyOptimizer:
    module, _, name = text.partition(":") if ":" in text else text.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise SpecError(f"There is no optimizer '{text}': {error}.") from None
    if isinstance(found, Optimizer):
        return found
    return _wrap(found, f"{module}.{name}", {"kind": "import", "module": module, "name": name}, tuned)


def _from_file(path: Path, tuned: Iterable[str]) -> AnyOptimizer:
    if not path.is_file():
        raise SpecError(f"There is no optimizer file '{path}'.")
    module = load_file(path.resolve())
    found = getattr(module, "optimizer", None)
    if isinstance(found, Optimizer):
        return found
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise SpecError(
            f"The file {path} must define optimizer = Optimizer(...) or exactly one subclass of torch.optim.Optimizer, "
            f"but defines {len(classes)}."
        )
    name = classes[0].__name__
    return _wrap(classes[0], name, {"kind": "file", "path": str(path.resolve()), "name": name}, tuned)


def _wrap(make: Any, name: str, source: Mapping[str, str], tuned: Iterable[str]) -> TorchOptimizer:
    """A class or function as a contender's optimizer; ``space`` has its learning rate unless that is given anyway."""
    if not callable(make) or (isinstance(make, type) and not issubclass(make, torch.optim.Optimizer)):
        raise SpecError(f"'{name}' is no torch.optim.Optimizer and no function that makes one.")
    maker: Callable[..., Any] = make
    parameters = inspect.signature(maker).parameters
    space: dict[str, Dimension] = {}
    if "lr" in parameters and "lr" not in tuned:
        space["lr"] = _range(make, parameters["lr"].default)
    elif "lr" not in parameters and not list(tuned):
        raise SpecError(f"{name} has no argument 'lr', so a contender with it needs space= or hyper=.")
    return TorchOptimizer(name, maker, source, space)


def _range(make: Any, default: Any) -> LogUniform:
    """The range that is tuned where the user gives none."""
    if getattr(make, "__module__", "").startswith("torch.optim"):
        return RANGES.get(make.__name__, ADAM_RANGE)
    if not _is_number(default) or default <= 0:
        return ADAM_RANGE
    factor = 10**DECADES_AROUND_DEFAULT
    return LogUniform(default / factor, default * factor)


def _zoo() -> dict[str, str]:
    """Classes of pytorch_optimizer by their name in lower case; none where it is not installed."""
    try:
        import pytorch_optimizer
    except ImportError:
        return {}
    return {
        name.lower(): name
        for name, value in vars(pytorch_optimizer).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
