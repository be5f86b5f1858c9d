"""Where races are kept: the written contract (`Store`) and its SQLite implementation.

>>> import tempfile, pathlib
>>> folder = tempfile.TemporaryDirectory()
>>> with open_store(pathlib.Path(folder.name) / "races.db") as store:
...     record = store.create_race("0123456789abcdef", spec={"workload": "digits"}, plan={}, machine={}, version="0.1")
...     print(store.race("0123").status)
running
>>> folder.cleanup()
"""

from __future__ import annotations

import os

from gradrace.store.contract import Pulse, RaceRecord, RaceStatus, Store
from gradrace.store.sqlite import SQLiteStore

__all__ = ["Pulse", "RaceRecord", "RaceStatus", "SQLiteStore", "Store", "open_store"]


def open_store(path: str | os.PathLike[str], must_exist: bool = False) -> Store:
    """The store at `path`, created with its folders if there is none, unless it `must_exist`.

    Raises:
        StoreError: the path cannot hold a store, or holds something that is not one; nothing was written then.
    """
    return SQLiteStore(path, must_exist=must_exist)
