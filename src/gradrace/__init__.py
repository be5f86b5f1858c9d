"""gradrace: which optimizer, at which learning rate, should train this model? Answered with evidence.

The names are imported when they are first used: the command line starts the lanes of a race before it imports torch,
and what needs no torch (a stored verdict) does without it.
"""

import importlib
import importlib.util
import logging
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gradrace._version import __version__
from gradrace.errors import DataError, GradraceError, Interrupted, SpecError, StoreError, WorkloadError

if TYPE_CHECKING:
    from gradrace.evidence._recommend import recommend
    from gradrace.optimizers import Optimizer, optimizers
    from gradrace.race.api import race, resume
    from gradrace.race.calibrate import CalibrationResult, calibrate
    from gradrace.race.imports.entering import import_runs
    from gradrace.race.result import RaceResult
    from gradrace.race.spec import Contender
    from gradrace.race.suite import SuiteResult, race_suite
    from gradrace.space import Choice, LogUniform, Uniform
    from gradrace.workloads import METRICS, Metric, StopTraining, Workload, reporting, workloads

__all__ = [
    "METRICS",
    "CalibrationResult",
    "Choice",
    "Contender",
    "DataError",
    "GradraceError",
    "Interrupted",
    "LogUniform",
    "Metric",
    "Optimizer",
    "RaceResult",
    "SpecError",
    "StopTraining",
    "StoreError",
    "SuiteResult",
    "Uniform",
    "Workload",
    "WorkloadError",
    "__version__",
    "calibrate",
    "import_runs",
    "optimizers",
    "race",
    "race_suite",
    "recommend",
    "reporting",
    "resume",
    "workloads",
]

_HOME = {
    "gradrace.evidence._recommend": ("recommend",),
    "gradrace.optimizers": ("Optimizer", "optimizers"),
    "gradrace.race.api": ("race", "resume"),
    "gradrace.race.calibrate": ("CalibrationResult", "calibrate"),
    "gradrace.race.imports.entering": ("import_runs",),
    "gradrace.race.result": ("RaceResult",),
    "gradrace.race.spec": ("Contender",),
    "gradrace.race.suite": ("SuiteResult", "race_suite"),
    "gradrace.space": ("Choice", "LogUniform", "Uniform"),
    "gradrace.workloads": ("METRICS", "Metric", "StopTraining", "Workload", "reporting", "workloads"),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}


class _Public(ModuleType):
    """The package, with names that are imported when they are used."""

    def __getattr__(self, name: str) -> Any:
        if name in _MODULE_OF:
            found = getattr(importlib.import_module(_MODULE_OF[name]), name)
            self.__dict__[name] = found
            return found
        if not name.startswith("_") and importlib.util.find_spec(f"gradrace.{name}") is not None:
            return importlib.import_module(f"gradrace.{name}")
        raise AttributeError(f"module 'gradrace' has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system would put the packages race, optimizers and workloads where the functions of that name are.
        if not (name in _MODULE_OF and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


logging.getLogger(__name__).addHandler(logging.NullHandler())  # who wants the log adds a handler
sys.modules[__name__].__class__ = _Public
