"""The spec: everything that determines a race, checked before anything is written or trained."""

from __future__ import annotations

import hashlib
import inspect
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

import cloudpickle
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from gradrace._discovery import load_file
from gradrace._version import __version__
from gradrace.engine.trial import Schedule
from gradrace.errors import SpecError, WorkloadError
from gradrace.optimizers import AnyOptimizer, Hyperparameter, Optimizer, TorchOptimizer, find, optimizers
from gradrace.race.rungs import check_halving
from gradrace.space import Dimension, space_from_dict
from gradrace.workloads import Workload, workload

MOST_LABEL = 60


SURROUNDINGS = {
    "warmup": Hyperparameter(0.0, "share of the steps over which the learning rate rises to its value", high=1.0),
    "clip_norm": Hyperparameter(0.0, "greatest length of a gradient; 0 for none"),
    "decoupled_weight_decay": Hyperparameter(0.0, "share of lr by which weights shrink at each step"),
    "ema": Hyperparameter(0.0, "share of the average of weights that is kept; 0 for none", high=1.0),
}
"""What is around a rule and may be the same for all contenders, held for one, or tuned with it."""


def check_label(label: str) -> None:
    """Raise a SpecError unless a contender can be called so."""
    if not label or not label.isprintable() or label != label.strip() or len(label) > MOST_LABEL:
        raise SpecError(
            f"The label {label!r} cannot be used: a label has 1 to {MOST_LABEL} printable characters and no space at "
            "its ends."
        )


@dataclass(frozen=True)
class Preset:
    """K studies of N trials, S seeds of confirmation, and the share of the workload's steps."""

    studies: int
    trials: int
    seeds: int
    share_of_steps: float


BUDGETS: dict[str, Preset] = {
    "quick": Preset(3, 8, 3, 0.25),
    "standard": Preset(5, 16, 4, 1.0),
    "thorough": Preset(8, 32, 8, 1.0),
}


@dataclass(frozen=True, eq=False)
class Contender:
    """An optimizer entered in a race.

    Args:
        optimizer: its name, an ``Optimizer``, or any other one: a ``torch.optim.Optimizer`` class, a function of
            parameters and hyperparameters that makes one, the dotted name of either, or a ``.py`` file.
        label: what it is called in this race; its name by default. Labels tell variants apart and must differ.
        space: search spaces that replace or add to its own, by hyperparameter; also of what is around the rule:
            ``warmup``, ``clip_norm``, ``decoupled_weight_decay``, ``ema``.
        hyper: hyperparameters, and what is around the rule, held at a value; they are not tuned.
        options: structural options, such as ``{"nesterov": True}``.
        scramble: contenders with the same number meet the same quasi-random points (they are paired); another number
            draws other points, which is how one optimizer is raced against itself.

    Raises:
        SpecError: an unknown optimizer, hyperparameter or option, or a value that is not allowed.
    """

    optimizer: str | Path | AnyOptimizer | Callable[..., Any]
    label: str = ""
    space: Mapping[str, Dimension] = field(default_factory=dict)
    hyper: Mapping[str, float] = field(default_factory=dict)
    options: Mapping[str, bool] = field(default_factory=dict)
    scramble: int = 0

    def __post_init__(self) -> None:
        found = find(self.optimizer, [*self.space, *self.hyper])
        object.__setattr__(self, "optimizer", found)
        object.__setattr__(self, "label", self.label or found.name)
        check_label(self.label)
        for name in self.space:
            if name not in SURROUNDINGS and not found.accepts(name):
                raise SpecError(
                    f"Contender '{self.label}' has a search space for '{name}', which {found.name} does not have. "
                    f"It has: {', '.join(found.hyperparameters)}."
                )
        self._check_spaces(found)
        held = {name: value for name, value in self.hyper.items() if name in SURROUNDINGS}
        for name, value in held.items():
            SURROUNDINGS[name].check(name, value)
        found.configure({name: value for name, value in self.hyper.items() if name not in held})
        tuned = {name: 1.0 for name in self.dimensions(0) if name not in found.space}
        object.__setattr__(self, "options", found.with_options(self.options, {**tuned, **self.hyper}))

    def _check_spaces(self, found: AnyOptimizer) -> None:
        """Raise unless every value that a space can give is allowed: else a trial would fail in mid-race."""
        for name, space in self.space.items():
            if not isinstance(space, Dimension):
                raise SpecError(
                    f"The search space of '{name}' must be a LogUniform, Uniform or Choice, but is {space!r}."
                )
            if name in self.hyper:
                raise SpecError(f"Contender '{self.label}' both holds '{name}' at a value and tunes it; choose one.")
            for end in (space.value(0.0), space.value(1.0)):
                if name in SURROUNDINGS:
                    SURROUNDINGS[name].check(name, end)
                else:
                    found.configure({name: end})

    @property
    def rule(self) -> AnyOptimizer:
        """The optimizer object."""
        assert isinstance(self.optimizer, AnyOptimizer)
        return self.optimizer

    def dimensions(self, trials: int) -> dict[str, Dimension]:
        """What a study of ``trials`` trials tunes: with few trials the learning rate alone, with more also others.

        The order (learning rate first, then momentum or 1 - beta1, then eps, then 1 - beta2) and the numbers of trials
        follow the Deep Learning Tuning Playbook (https://github.com/google-research/tuning_playbook).
        """
        spaces = {**self.rule.space, **self.space}
        return {
            name: space
            for name, space in spaces.items()
            if name not in self.hyper and (name in self.space or trials >= space.from_trials)
        }

    def full_configuration(self, tuned: Mapping[str, float]) -> dict[str, float]:
        """Every hyperparameter: defaults, then what is held, then what was tuned."""
        values = {**self.hyper, **tuned}
        return self.rule.configure({name: value for name, value in values.items() if name not in SURROUNDINGS})

    def surroundings(self, tuned: Mapping[str, float], spec: RaceSpec) -> dict[str, float]:
        """What is around the rule: the race's own, then what is held for this contender, then what was tuned."""
        values = {**{name: getattr(spec, name) for name in SURROUNDINGS}, **self.hyper, **tuned}
        return {name: values[name] for name in SURROUNDINGS}

    def typical_configuration(self) -> dict[str, float]:
        """Values to try a workload with: the defaults, and the middle of its space where there is no default."""
        spaces = {**self.rule.space, **self.space}
        middle = {name: space.value(0.5) for name, space in spaces.items() if name not in self.rule.hyperparameters}
        return self.full_configuration({name: value for name, value in middle.items() if name not in self.hyper})

    @classmethod
    def from_description(cls, values: Mapping[str, Any], source: Mapping[str, str] | None) -> Contender:
        """The contender that ``describe`` described; ``source`` is where another than our own optimizers is found."""
        name = values["optimizer"]
        if source is not None:
            name = source["path"] if source["kind"] == "file" else f"{source['module']}:{source['name']}"
        space = {name: space_from_dict(known) for name, known in values["space"].items()}
        return cls(name, values["label"], space, values["hyper"], values["options"], values["scramble"])

    def describe(self) -> dict[str, Any]:
        """The contender as JSON types; two contenders with equal descriptions train alike."""
        return {
            "label": self.label,
            "optimizer": self.rule.name,
            "space": {name: space.to_dict() for name, space in self.space.items()},
            "hyper": {name: float(value) for name, value in self.hyper.items()},
            "options": dict(self.options),
            "scramble": self.scramble,
        }


class RaceSpec(BaseModel):
    """The numbers and choices of a race. What does not change its outcome (lanes, store, display) is not in it."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    studies: int = Field(ge=1, le=10_000)
    trials: int = Field(ge=1, le=4096)
    seeds: int = Field(ge=1, le=1000)
    steps: int = Field(ge=1, le=100_000_000)
    batch_size: int = Field(ge=1)
    schedule: Schedule = "constant"
    warmup: float = Field(default=0.0, ge=0, lt=1)
    clip_norm: float = Field(default=0.0, ge=0)
    decoupled_weight_decay: float = Field(default=0.0, ge=0)
    decay_biases: bool = False
    ema: float = Field(default=0.0, ge=0, lt=1)
    halving: bool = True
    engine: Literal["auto", "compiled", "vectorized", "loop"] = "auto"
    device: Literal["cpu", "cuda"] = "cpu"
    deterministic: bool = False
    currency: Literal["gradients", "seconds"] = "gradients"
    seed: int = Field(default=0, ge=0, lt=2**63)

    @model_validator(mode="after")
    def _consistent(self) -> RaceSpec:
        if self.halving:
            check_halving(self.trials, self.steps)
        if self.device == "cuda" and not torch.cuda.is_available():
            raise SpecError(
                "The device is 'cuda', but this machine has no CUDA device that torch can use; 'cpu' works."
            )
        return self


def make_spec(
    task: Workload,
    budget: str = "standard",
    *,
    studies: int | None = None,
    trials: int | None = None,
    seeds: int | None = None,
    steps: int | None = None,
    batch_size: int | None = None,
    **others: Any,
) -> RaceSpec:
    """The spec of a race: a preset with some of its numbers replaced.

    Raises:
        SpecError: a name that is not known, or a number that is not allowed.
    """
    if budget not in BUDGETS:
        raise SpecError(f"The budget is {budget!r}, but must be one of: {', '.join(BUDGETS)}.")
    preset = BUDGETS[budget]

    def chosen(given: int | None, otherwise: int) -> int:
        return otherwise if given is None else given

    values = {
        "studies": chosen(studies, preset.studies),
        "trials": chosen(trials, preset.trials),
        "seeds": chosen(seeds, preset.seeds),
        "steps": chosen(steps, max(1, round(task.steps * preset.share_of_steps))),
        "batch_size": chosen(batch_size, task.batch_size),
        **others,
    }
    try:
        return RaceSpec(**values)
    except ValidationError as error:
        raise SpecError(" ".join(sentence_of(problem, RaceSpec.model_fields) for problem in error.errors())) from None


def sentence_of(problem: Any, known: Iterable[str]) -> str:
    """What pydantic found wrong, in our words; ``known`` are the names that there may be in its place."""
    name, given = ".".join(str(part) for part in problem["loc"]), problem["input"]
    allowed = problem["msg"].removeprefix("Input should be ")
    for theirs, ours in (("a valid integer", "a whole number"), ("greater than or equal to", "at least")):
        allowed = allowed.replace(theirs, ours)
    if problem["type"] == "extra_forbidden":
        return f"A race has no option '{name}'. It has: {', '.join(known)}."
    if problem["type"] == "missing":
        return f"{name} is missing."
    return f"{name} must be {allowed}, but is {given!r}."


def label_and_name(word: str) -> tuple[str, str]:
    """A contender's label and optimizer, from one word of the command line.

    >>> label_and_name("slow=adam")
    ('slow', 'adam')

    Raises:
        SpecError: a label of no characters.
    """
    label, equals, name = word.strip().rpartition("=")
    if equals and not label:
        raise SpecError(
            f"The contender '{word}' has no label before '='. Write label=optimizer, or the optimizer alone."
        )
    return label, name


def make_contenders(given: Sequence[Any]) -> tuple[Contender, ...]:
    """Contenders from contenders, or whatever a contender's optimizer may be.

    Raises:
        SpecError: none at all, or one label twice.
    """
    contenders = tuple(item if isinstance(item, Contender) else Contender(item) for item in given)
    if not contenders:
        raise SpecError("A race needs at least one contender, and got none.")
    labels = [contender.label for contender in contenders]
    for label in labels:
        if labels.count(label) > 1:
            raise SpecError(
                f"The label '{label}' stands for two contenders. Give each its own, as in a={label},b={label} "
                "on the command line or Contender(..., label=...) in Python."
            )
    return contenders


@dataclass(frozen=True)
class Task:
    """A workload and how it was named, so that a stored race can find it again."""

    workload: Workload
    reference: dict[str, str]


def find_task(given: str | Path | Workload) -> Task:
    """A built-in workload by name, a ``.py`` file that defines ``workload``, or a Workload.

    Raises:
        SpecError: there is no such workload or file.
        WorkloadError: the file raised, or defines no workload.
    """
    if isinstance(given, Workload):
        known = {"kind": "object", "name": given.name, "fingerprint": _fingerprint(given)}
        return Task(given, known)
    if str(given).endswith(".py"):
        path = Path(given)
        if not path.is_file():
            raise SpecError(f"There is no workload file '{path}'.")
        module = load_file(path.resolve())
        found = getattr(module, "workload", None)
        if not isinstance(found, Workload):
            raise WorkloadError(f"The file {path} must define workload = Workload(...), but has no such name.")
        known = {"kind": "file", "name": found.name, "path": str(path.resolve())}
        return Task(found, {**known, "fingerprint": _digest(path.read_bytes())})
    return Task(workload(str(given)), {"kind": "built-in", "name": str(given), "fingerprint": __version__})


def race_id(spec: RaceSpec, contenders: Sequence[Contender], task: Task) -> str:
    """The hash of all that determines a race's outcome: 12 hexadecimal digits."""
    return _digest(json.dumps(describe(spec, contenders, task), sort_keys=True).encode())[:12]


def describe(spec: RaceSpec, contenders: Sequence[Contender], task: Task) -> dict[str, Any]:
    """The whole of a race's description, as JSON types. A file is known by its content, wherever it lies."""
    known = {name: value for name, value in task.reference.items() if name != "path"}
    return {
        "version": __version__,
        "workload": known,
        "contenders": [{**contender.describe(), "rule": _rule_fingerprint(contender.rule)} for contender in contenders],
        "race": spec.model_dump(),
    }


def _rule_fingerprint(rule: AnyOptimizer) -> str:
    if isinstance(rule, TorchOptimizer):
        try:
            return _digest(inspect.getsource(rule.make).encode())
        except (OSError, TypeError):  # built where there is no file: at a prompt, or from a C extension
            return _digest(cloudpickle.dumps(rule.make))
    return __version__ if optimizers().get(rule.name) is rule else _fingerprint(rule)


class _Canonical(cloudpickle.Pickler):
    """Pickles so that equal content gives equal bytes: torch would write where in memory a tensor's numbers lie."""

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, torch.Tensor):
            numbers = obj.detach().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes()
            return tuple, ((str(obj.dtype), tuple(obj.shape), numbers),)
        return super().reducer_override(obj)


def _fingerprint(thing: Workload | Optimizer) -> str:
    """The hash of an object's fields, the same in every process; not of what it has cached beside them.

    Fields that are declared not to count in a comparison do not count here.
    """
    file = io.BytesIO()
    _Canonical(file).dump({known.name: getattr(thing, known.name) for known in fields(thing) if known.compare})
    # cloudpickle gives every class of a script's main module a random number of 32 hexadecimal digits.
    return _digest(re.sub(rb"\x8c\x20[0-9a-f]{32}", b"", file.getvalue()))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
