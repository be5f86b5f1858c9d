"""What mkdocs asks while it builds: pages made of the package's own data, and the order of all of them.

Nothing made here is committed: an optimizer, a workload or a claim is one file, and its page comes from that file.
"""

from __future__ import annotations

from typing import Any

import api_pages
import claim_pages
import optimizer_pages
import verdict_page
import workload_pages
from mkdocs.structure.files import File, Files

GUIDE = (
    "index.md", "tour.md", "own-model.md", "read-a-verdict.md", "how-it-judges.md", "evidence.md", "landscapes.md",
    "live.md", "import.md", "testing.md", "trackers.md",
)  # fmt: skip
MEASURED = ("optimizers.md", "workloads.md", "calibration.md", "benchmarks.md")
SECTIONS = {
    "Optimizers": "optimizers/",
    "Workloads": "workloads/",
    "Claims": "claims/",
    "API": "api/",
    "한국어": "ko/",
    "Decisions": "decisions/",
}


def made() -> dict[str, str]:
    """Every page that is made, by its address."""
    return {
        **optimizer_pages.pages("en"),
        **optimizer_pages.pages("ko"),
        **workload_pages.pages(),
        **claim_pages.pages(),
        **api_pages.pages(),
        "read-a-verdict.md": verdict_page.text(),
    }


def on_files(files: Files, config: Any, **_: Any) -> Files:
    """Adds what is made, and puts every page into its place; a page that has none comes last."""
    for address, text in made().items():
        files.append(File.generated(config, address, content=text))
    there = sorted(file.src_uri for file in files.documentation_pages())
    placed: list[Any] = [address for address in GUIDE if address in there]
    placed += [
        {title: sorted((a for a in there if a.startswith(folder)), key=_index_first)}
        for title, folder in SECTIONS.items()
    ]
    placed.append({"Measured": [address for address in MEASURED if address in there]})
    known = {*GUIDE, *MEASURED}
    config.nav = placed + [
        address for address in there if address not in known and not address.startswith(tuple(SECTIONS.values()))
    ]
    return files


def _index_first(address: str) -> tuple[str, bool, str]:
    folder, _, name = address.rpartition("/")
    return folder, name != "index.md", name
