"""Landscapes: every optimizer walks down surfaces of two coordinates, so that one sees how it moves.

The rules of the page are the package's own: each is recorded while it runs in PyTorch and written down in JavaScript.
"""

from gradrace.landscapes.figures import pictures
from gradrace.landscapes.page import FIRST_SHOWN, Landscapes, page, served

__all__ = ["FIRST_SHOWN", "Landscapes", "page", "pictures", "served"]
