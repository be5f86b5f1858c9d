"""gradrace: which optimizer, at which learning rate, should train this model? Answered with evidence."""

from gradrace._version import __version__
from gradrace.errors import DataError, GradraceError, Interrupted, SpecError, StoreError, WorkloadError
from gradrace.optimizers import Optimizer, optimizers
from gradrace.race.api import race, resume
from gradrace.race.result import RaceResult
from gradrace.race.spec import Contender
from gradrace.space import Choice, LogUniform, Uniform
from gradrace.workloads import METRICS, Metric, StopTraining, Workload, reporting, workloads

__all__ = [
    "METRICS",
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
    "Uniform",
    "Workload",
    "WorkloadError",
    "__version__",
    "optimizers",
    "race",
    "reporting",
    "resume",
    "workloads",
]
