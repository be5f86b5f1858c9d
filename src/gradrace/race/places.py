"""Where races are kept unless something else is asked for. Without torch."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path


def store_path(given: str | Path | None) -> Path:
    """The store asked for, else the one that ``GRADRACE_STORE`` names, else ``races.db`` in the user's data folder."""
    return Path(given or os.environ.get("GRADRACE_STORE") or user_data_path("gradrace") / "races.db")
