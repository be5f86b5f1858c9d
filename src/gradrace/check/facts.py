"""What an optimizer says of itself: card, family, hyperparameters and search space. Nothing is stepped here."""

from __future__ import annotations

import importlib
import math
import re

from gradrace.errors import SpecError
from gradrace.optimizers import Optimizer, optimizers

SHARES = re.compile(r"beta\d*|momentum")
"""Names of hyperparameters that say which share of an average is kept."""


def card(optimizer: Optimizer) -> list[str]:
    """Nothing that a person should know is left empty, and the line to paste can be written."""
    found = []
    for field in ("title", "idea", "use", "paper", "link"):
        if not getattr(optimizer.card, field).strip():
            found.append(f"The card's {field} is empty.")
    if not any(line.strip() for line in optimizer.card.formula):
        found.append("The card's formula is empty: write one line of plain text for each assignment.")
    link = optimizer.card.link.strip()
    if link and not link.startswith(("https://", "http://")):
        found.append(f"The card's link is {link!r}, but must begin with https://.")
    if not re.fullmatch(r"[a-z][a-z0-9_]*", optimizer.name):
        found.append(f"The name is {optimizer.name!r}, but must be lower-case letters, digits and underscores.")
    return [*found, *_unknown_relatives(optimizer), *_paste(optimizer)]


def _unknown_relatives(optimizer: Optimizer) -> list[str]:
    family = () if optimizer.family is None else (optimizer.family[0],)
    places = (("relatives", optimizer.card.relatives), ("special_cases", optimizer.special_cases), ("family", family))
    return [
        f"{place} names '{name}', but no optimizer is called so."
        for place, names in places
        for name in names
        if name not in optimizers()
    ]


def _paste(optimizer: Optimizer) -> list[str]:
    module, _, name = optimizer.torch_class.rpartition(".")
    if module == "gradrace.optim":
        ours = optimizer.class_name or optimizer.name.capitalize()
        return [] if name == ours else [f"torch_class is gradrace.optim.{name}, but class_name makes it {ours}."]
    try:
        getattr(importlib.import_module(module), name)
        optimizer.code({})
    except (ImportError, AttributeError, ValueError) as error:
        return [
            f"torch_class is '{optimizer.torch_class}', which cannot be imported ({error}). "
            "It is a dotted name, such as torch.optim.SGD, or gradrace.optim. and the class_name."
        ]
    return []


def hyperparameters(optimizer: Optimizer) -> list[str]:
    """Defaults and cases are allowed, what makes no sense is refused."""
    found = []
    if "lr" not in optimizer.hyperparameters:
        found.append("There is no hyperparameter 'lr': every optimizer has a learning rate, which schedules multiply.")
    if not hasattr(optimizer.hyper, "_fields"):
        found.append(f"hyper is {optimizer.hyper.__name__}, but must be a NamedTuple type: schedules replace its lr.")
    for name, known in optimizer.hyperparameters.items():
        if not known.meaning.strip():
            found.append(f"The meaning of {name} is empty.")
        found += _refused(optimizer, name, known.default, "its default")
        found += [
            f"{name} may be {value}, but {why}."
            for value, why in _senseless(name)
            if not _refused(optimizer, name, value, "")
        ]
    for case in optimizer.cases:
        for name, value in case.hyper.items():
            found += _refused(optimizer, name, value, "which a case sets")
        found += _options(optimizer, dict(case.options))
    return [*found, *_bad_inputs(optimizer)]


def fits(optimizer: Optimizer) -> bool:
    """Whether the parts fit together well enough for a step to be tried."""
    fields = getattr(optimizer.hyper, "_fields", ())
    return fields == tuple(optimizer.hyperparameters) and "lr" in fields


def _senseless(name: str) -> list[tuple[float, str]]:
    wrong: list[tuple[float, str]] = [(math.nan, "that is no number")]
    if name == "lr":
        wrong.append((-1.0, "a learning rate is at least 0 (low=0.0)"))
    if SHARES.fullmatch(name):
        reason = "the share of an average that is kept lies in [0, 1) (low=0.0, high=1.0)"
        wrong += [(-0.1, reason), (1.0, reason)]
    return wrong


def _refused(optimizer: Optimizer, name: str, value: float, which: str) -> list[str]:
    try:
        optimizer.configure({name: value})
    except SpecError as error:
        return [f"{str(error).rstrip('.')}, {which}." if which else str(error)]
    return []


def _options(optimizer: Optimizer, options: dict[str, bool]) -> list[str]:
    try:
        optimizer.with_options(options)
    except SpecError as error:
        return [f"A case sets an option that there is not: {error}"]
    return []


def _bad_inputs(optimizer: Optimizer) -> list[str]:
    found = []
    for bad in optimizer.bad_inputs:
        try:
            optimizer.configure(bad.hyper)
        except SpecError as error:
            if bad.message not in str(error):
                found.append(f"The bad input {dict(bad.hyper)} is refused with '{error}', not with '{bad.message}'.")
        else:
            found.append(f"The bad input {dict(bad.hyper)} is not refused.")
    return found


def search_space(optimizer: Optimizer) -> list[str]:
    """The learning rate is tuned, and every value of every range is allowed, also beyond an edge that moves."""
    found = []
    if "lr" not in optimizer.space:
        found.append("The search space has no 'lr': the learning rate is what every study tunes first.")
    for name, space in optimizer.space.items():
        for share in (0.0, 0.5, 1.0):
            found += _refused(optimizer, name, space.value(share), "which its search space holds")
        for beyond in (space.extended("low"), space.extended("high")):
            if beyond is not None:
                found += _refused(optimizer, name, beyond.value(0.5), "which its search space can grow to")
    return found
