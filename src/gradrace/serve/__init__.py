"""The live page: the page of a race, served while it runs. It reads the store, whatever process the race runs in.

Needs the extra ``gradrace[live]``. Nothing here imports torch.
"""

from __future__ import annotations

from gradrace.serve._beside import Beside
from gradrace.serve._server import serve
from gradrace.serve._settings import DEFAULT_PORT, Settings

__all__ = ["DEFAULT_PORT", "Beside", "Settings", "serve"]
