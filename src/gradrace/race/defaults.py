"""What the command line must know before anything that takes time is imported."""

from __future__ import annotations

DEFAULT_CONTENDERS = ("sgd", "momentum", "adagrad", "rmsprop", "adam")
