"""The files that pages ask for, all in memory: no path of a request reaches the file system."""

from __future__ import annotations

import gzip
import hashlib
import importlib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files

from gradrace.errors import SpecError
from gradrace.report.page.render import SCRIPTS as PAGE_SCRIPTS
from gradrace.report.page.render import static

PLOTLY = "plotly.js"
SCRIPTS = {
    "race.js": (tuple(f"{name}.js" for name in PAGE_SCRIPTS), ("served.js", "race.js")),
    "races.js": (("shared.js", "core.js", "pictures.js"), ("served.js", "races.js")),
    "compare.js": (("shared.js", "core.js", "pictures.js"), ("served.js", "compare.js")),
}
"""Of each script its parts: those of the page that every race writes, and those of this server."""


@dataclass(frozen=True)
class Asset:
    """One file.

    Attributes:
        kind: what it is, for the browser.
        text: what is in it.
    """

    kind: str
    text: str

    @cached_property
    def packed(self) -> bytes:
        """Compressed."""
        return gzip.compress(self.text.encode(), mtime=0)

    @cached_property
    def tag(self) -> str:
        """Differs when the file does."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]


@cache
def assets() -> dict[str, Asset]:
    """Every file by its name.

    Raises:
        SpecError: plotly is not installed.
    """
    try:
        plotly = importlib.import_module("plotly.offline").get_plotlyjs()
    except ImportError as error:
        raise SpecError(
            f"The live page needs {error.name}, which is not installed: pip install 'gradrace[live]'"
        ) from None
    script, style = "text/javascript; charset=utf-8", "text/css; charset=utf-8"
    made = {PLOTLY: Asset(script, plotly), "page.css": Asset(style, static("page.css") + _own("served.css"))}
    for name, (common, own) in SCRIPTS.items():
        made[name] = Asset(script, "\n".join([*(static(part) for part in common), *(_own(part) for part in own)]))
    return made


def link(name: str) -> str:
    """The address of a file, which is another one when the file is."""
    return f"/static/{name}?{assets()[name].tag}" if name != PLOTLY else f"/static/{name}"


def _own(name: str) -> str:
    return files(__package__ or "").joinpath("static", name).read_text(encoding="utf-8")
