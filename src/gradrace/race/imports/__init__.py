"""Runs that were trained elsewhere, as a stored race: tables and Optuna's studies in, a race that is judged out."""
