"""Runs that were trained elsewhere, as a stored race: tables and Optuna's studies in, a race that is judged out."""

from typing import Literal

Unit = Literal["study", "seed"]
"""Of replication."""
Scored = Literal["confirmed", "best"]
"""By runs that confirm each study's choice, or by the best value of its tuning."""
