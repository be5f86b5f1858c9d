"""The version: stated here and nowhere else. The build reads this file, and so may every module, without a cycle."""

__version__ = "0.1.0"
