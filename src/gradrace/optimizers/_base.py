"""What an optimizer is: an update rule with its card, its hyperparameters, its search space and its test cases."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from gradrace.errors import SpecError, refuse
from gradrace.space import Dimension

Tree = dict[str, Tensor]
"""Named tensors: parameters, gradients or updates."""


class UpdateRule(Protocol):
    """Pure functions of one optimizer, for one trial: no mutation, no clock, no ``.item()``, no branch on a value."""

    def init(self, params: Tree, options: Mapping[str, bool]) -> Any:
        """The state before the first step."""
        ...

    def update(
        self, grads: Tree, state: Any, params: Tree, hyper: Any, step: Tensor, options: Mapping[str, bool]
    ) -> tuple[Tree, Any]:
        """The updates, to be *added* to the parameters, and the next state. ``step`` is 1, 2, …: float64, shape ()."""
        ...


@dataclass(frozen=True)
class PerTensor:
    """A rule written for one tensor, lifted to a tree: every tensor has its own state and is updated alone."""

    init_tensor: Callable[..., Any]
    update_tensor: Callable[..., tuple[Tensor, Any]]

    def init(self, params: Tree, options: Mapping[str, bool]) -> dict[str, Any]:
        """One state record for each tensor."""
        return {name: self.init_tensor(param, **options) for name, param in params.items()}

    def update(
        self, grads: Tree, state: dict[str, Any], params: Tree, hyper: Any, step: Tensor, options: Mapping[str, bool]
    ) -> tuple[Tree, dict[str, Any]]:
        """The rule applied to each tensor."""
        updates, new_state = {}, {}
        for name, param in params.items():
            updates[name], new_state[name] = self.update_tensor(grads[name], state[name], param, hyper, step, **options)
        return updates, new_state


@dataclass(frozen=True)
class Rescaled:
    """A rule for one tensor, whose gradients are first all multiplied by one number that is found from all of them.

    ``factor(grads, hyper, options)`` is that number, float64 and of shape (); None where the options want none.
    """

    tensors: PerTensor
    factor: Callable[[Tree, Any, Mapping[str, bool]], Tensor | None]

    def init(self, params: Tree, options: Mapping[str, bool]) -> dict[str, Any]:
        """One state record for each tensor."""
        return self.tensors.init(params, options)

    def update(
        self, grads: Tree, state: dict[str, Any], params: Tree, hyper: Any, step: Tensor, options: Mapping[str, bool]
    ) -> tuple[Tree, dict[str, Any]]:
        """The rule applied to each tensor, and its gradient times the factor."""
        factor = self.factor(grads, hyper, options)
        if factor is not None:
            grads = {name: factor.to(grad.dtype) * grad for name, grad in grads.items()}
        return self.tensors.update(grads, state, params, hyper, step, options)


@dataclass(frozen=True)
class Korean:
    """A card's sentences in Korean; what is missing is shown in English. ``meanings`` are of the hyperparameters."""

    title: str
    idea: str
    use: str
    relatives: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    meanings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Card:
    """What a person should know of an optimizer. Plain sentences; formula in plain text, one line each.

    ``differences`` says where the rule departs from its paper or from the reference implementation. ``korean`` is for
    pages in Korean, which otherwise show the card as it stands.
    """

    title: str
    idea: str
    formula: tuple[str, ...]
    use: str
    paper: str
    link: str
    relatives: Mapping[str, str] = field(default_factory=dict)
    differences: tuple[str, ...] = ()
    korean: Korean | None = None


@dataclass(frozen=True)
class Hyperparameter:
    """A number an optimizer takes: its default, its meaning and the values that are allowed.

    ``absent_at_zero`` says that at 0 the mathematics drops out; the rule then receives None and spends nothing on it.
    ``absent_argument`` is what the class's argument is then, where PyTorch writes None or infinity and not 0.
    """

    default: float
    meaning: str
    low: float = 0.0
    high: float = math.inf
    low_allowed: bool = True
    absent_at_zero: bool = False
    absent_argument: float | None = 0.0

    def argument(self, value: Any) -> Any:
        """The value as the class's argument."""
        return self.absent_argument if self.absent_at_zero and value == 0 else value

    def value(self, argument: Any) -> Any:
        """The value that the class's argument stands for."""
        return 0.0 if self.absent_argument != 0 and argument == self.absent_argument else argument

    def check(self, name: str, value: float) -> None:
        """Raise a SpecError unless ``value`` is allowed."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        inside = number and (self.low <= value if self.low_allowed else self.low < value) and value < self.high
        if not inside:
            lower = "at least" if self.low_allowed else "above"
            upper = "" if self.high == math.inf else f" and below {self.high:g}"
            raise SpecError(f"{name} must be a number {lower} {self.low:g}{upper}, but is {value!r}.")


@dataclass(frozen=True)
class Case:
    """One setting in which the rule must equal its oracle at every step, and how closely (relative)."""

    hyper: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, bool] = field(default_factory=dict)
    float64: float = 1e-10
    float32: float = 1e-5


@dataclass(frozen=True)
class BadInput:
    """A setting that must be refused, and a part of the sentence that says why."""

    hyper: Mapping[str, Any]
    message: str


@dataclass(frozen=True, eq=False)
class Optimizer:
    """An update rule and all that is known of it. One file in ``gradrace/optimizers`` holds one of these.

    Args:
        name: how it is called on the command line.
        rule: its ``init`` and ``update``.
        hyper: a NamedTuple type; its fields, in order, are the keys of ``hyperparameters``.
        hyperparameters: every number it takes.
        space: which of them a study tunes, over which range, and from how many trials on.
        card: what a person should know.
        torch_class: dotted name of the class to paste: the same method in PyTorch, or ``gradrace.optim``'s own.
        arguments: that class's keyword arguments: for each the hyperparameter or option that it is, or a tuple of
            hyperparameters (``"betas": ("beta1", "beta2")``), in which None stands for None.
        options: structural choices (Python constants) and their defaults.
        implied: options that are on exactly when a hyperparameter is not 0, such as a velocity when momentum is.
        needs: options that change nothing where a hyperparameter is 0, and that ``torch_class`` then refuses.
        excludes: options that cannot be on where a hyperparameter is not 0.
        oracle_class: dotted name of the implementation that tests compare with, if not ``torch_class``.
        oracle_arguments: from all hyperparameters and options to its arguments, if not ``arguments``.
        evaluated: for rules whose weights to use are not the weights they train (averages): from parameters, state,
            hyperparameters (without a schedule's factor) and options to the parameters that a model is evaluated with.
        class_name: what ``gradrace.optim`` calls the drop-in class; the name with a capital letter if empty.
        special_cases: optimizers that are this one with some constants set; tuned, it should not lose to them.
        family: the optimizer that this one is a variation of, and in a few words what is different; None for a root.
        exempt: what ``gradrace check`` finds and is meant to be so: the check's name, and the reason.
        gradient_evaluations: how many gradients one step takes; a rule that takes two pays two.
        elementwise: whether each number of a parameter is updated from that number's own history alone, so that the
            engine may hand the rule all parameters of a trial as one vector.
        torch_state: what ``torch_class`` calls the fields of the state where the method is the same, so that states can
            be exchanged with it.
        starting_values: fields of the state that in ``torch_class`` start at a hyperparameter's value, which the rule
            instead adds in every update; the drop-in class starts them there and passes None for the hyperparameter.
        sparse: whether, without weight decay, a gradient of 0 changes nothing, so that a sparse gradient can be applied
            to the rows it has.
        cases: settings in which its tests compare it with its oracle.
        bad_inputs: settings that must be refused.
    """

    name: str
    rule: UpdateRule
    hyper: type
    hyperparameters: Mapping[str, Hyperparameter]
    space: Mapping[str, Dimension]
    card: Card
    torch_class: str
    arguments: Mapping[str, str | tuple[str | None, ...]]
    options: Mapping[str, bool] = field(default_factory=dict)
    implied: Mapping[str, str] = field(default_factory=dict)
    needs: Mapping[str, str] = field(default_factory=dict)
    excludes: Mapping[str, str] = field(default_factory=dict)
    oracle_class: str = ""
    oracle_arguments: Callable[[Mapping[str, float], Mapping[str, bool]], dict[str, Any]] | None = None
    evaluated: Callable[[Tree, Any, Any, Mapping[str, bool]], Tree] | None = None
    class_name: str = ""
    special_cases: tuple[str, ...] = ()
    family: tuple[str, str] | None = None
    exempt: Mapping[str, str] = field(default_factory=dict)
    gradient_evaluations: int = 1
    elementwise: bool = True
    torch_state: Mapping[str, str] = field(default_factory=dict)
    starting_values: Mapping[str, str] = field(default_factory=dict)
    sparse: bool = False
    cases: tuple[Case, ...] = (Case(),)
    bad_inputs: tuple[BadInput, ...] = ()

    def __post_init__(self) -> None:
        fields = tuple(self.hyper.__annotations__)
        if tuple(self.hyperparameters) != fields:
            refuse(
                SpecError(
                    f"Optimizer '{self.name}' declares hyperparameters {', '.join(self.hyperparameters)}, "
                    f"but its record has the fields {', '.join(fields)}: they must be the same, in the same order."
                )
            )
        for name in self._named_in_arguments():
            if name not in self.hyperparameters and name not in self.options:
                refuse(SpecError(f"Optimizer '{self.name}' has an argument for '{name}', which it does not have."))
        for name in self.space:
            if name not in self.hyperparameters:
                refuse(SpecError(f"Optimizer '{self.name}' tunes '{name}', which is not one of its hyperparameters."))

    def accepts(self, name: str) -> bool:
        """Whether there is a hyperparameter of this name."""
        return name in self.hyperparameters

    def configure(self, hyper: Mapping[str, float] | None = None) -> dict[str, float]:
        """All hyperparameters: the defaults, with ``hyper`` in their place, checked.

        Raises:
            SpecError: an unknown name or a value that is not allowed.
        """
        given = dict(hyper or {})
        for name in given:
            if name not in self.hyperparameters:
                raise SpecError(
                    f"Optimizer '{self.name}' has no hyperparameter '{name}'. "
                    f"It has: {', '.join(self.hyperparameters)}."
                )
        for name, value in given.items():
            self.hyperparameters[name].check(name, value)
        return {name: float(given.get(name, known.default)) for name, known in self.hyperparameters.items()}

    def hyper_tensors(self, configurations: list[dict[str, float]], device: torch.device | str = "cpu") -> Any:
        """The hyperparameters of several trials: float64 tensors of shape [trials], None where absent in all."""
        columns: dict[str, Tensor | None] = {}
        for name, known in self.hyperparameters.items():
            values = [configuration[name] for configuration in configurations]
            absent = known.absent_at_zero and not any(values)
            columns[name] = None if absent else torch.tensor(values, dtype=torch.float64, device=device)
        return self.hyper(**columns)

    def with_options(
        self, options: Mapping[str, bool] | None, hyper: Mapping[str, float] | None = None
    ) -> dict[str, bool]:
        """The structural options: the defaults, what ``hyper`` implies, and ``options`` in their place, checked."""
        given = {option: True for option, name in self.implied.items() if (hyper or {}).get(name)}
        given |= options or {}
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise SpecError(f"Optimizer '{self.name}' has no option '{name}'. It has: {known}.")
            if not isinstance(value, bool):
                raise SpecError(f"Option '{name}' of optimizer '{self.name}' is True or False, but is {value!r}.")
        chosen = {**self.options, **given}
        for option, name in self.excludes.items():
            if chosen[option] and (hyper or {}).get(name):
                raise SpecError(
                    f"Option '{option}' of optimizer '{self.name}' must be False where {name} is not 0, "
                    f"but {name} is {(hyper or {})[name]!r}."
                )
        return chosen

    def torch_arguments(self, hyper: Mapping[str, float], options: Mapping[str, bool]) -> dict[str, Any]:
        """Hyperparameters and options as the keyword arguments of ``torch_class``."""
        values: dict[str | None, Any] = {n: self.hyperparameters[n].argument(value) for n, value in hyper.items()}
        values |= {n: on and not (n in self.needs and hyper[self.needs[n]] == 0) for n, on in options.items()}
        values |= {None: None}
        return {
            argument: tuple(values[part] for part in name) if isinstance(name, tuple) else values[name]
            for argument, name in self.arguments.items()
        }

    def _named_in_arguments(self) -> list[str]:
        named = (name if isinstance(name, tuple) else (name,) for name in self.arguments.values())
        return [part for parts in named for part in parts if part is not None]

    def oracle(self, params: list[Tensor], hyper: Mapping[str, float], options: Mapping[str, bool], **more: Any) -> Any:
        """The implementation that tests compare with, on ``params``."""
        arguments = self.oracle_arguments or self.torch_arguments
        return _resolve(self.oracle_class or self.torch_class)(params, **arguments(hyper, options), **more)

    def code(self, hyper: Mapping[str, float], options: Mapping[str, bool] | None = None) -> str:
        """The line of PyTorch to paste; arguments at their class's own defaults other than lr are left out."""
        if self.torch_class.startswith("gradrace.optim."):
            defaults = self.torch_arguments(self.configure(), self.with_options(None))
        else:
            defaults = _signature_defaults(self.torch_class)
        configured = self.configure(hyper)
        arguments = self.torch_arguments(configured, self.with_options(options, configured))
        shown = {name: value for name, value in arguments.items() if name == "lr" or value != defaults.get(name)}
        line = ", ".join(f"{name}={written(value)}" for name, value in shown.items())
        return f"{self.torch_class}(model.parameters(), {line})"


def _resolve(dotted: str) -> Any:
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _signature_defaults(dotted: str) -> dict[str, Any]:
    return {name: parameter.default for name, parameter in inspect.signature(_resolve(dotted)).parameters.items()}


def written(value: Any) -> str:
    """A value as one would type it: three digits, counted from 1 where a decay is close to it (0.99962, not 1)."""
    if isinstance(value, tuple):
        return "(" + ", ".join(written(item) for item in value) + ")"
    if not isinstance(value, float):
        return repr(value)
    if math.isinf(value):
        return f'float("{value}")'
    if 0.9 < value < 1:
        return f"{value:.{2 - math.floor(math.log10(1 - value))}f}".rstrip("0")
    text = f"{value:.3g}"
    return text if "." in text or "e" in text else f"{text}.0"  # torch's Adam refuses betas of which one is an int
