"""Write the store kept for each schema version: ``cd tests && python -m store.make_fixture``, before the next version.

A file that is there is never written again: it stands for those that users have.
"""

from __future__ import annotations

from pathlib import Path

from gradrace.store import SQLiteStore, Store
from gradrace.store.schema import SCHEMA_VERSION

from . import samples

FIXTURES = Path(__file__).with_name("fixtures")


def fill(store: Store) -> None:
    """What every fixture holds, of which `test_fixtures.py` expects each word and number."""
    race = store.create_race(**samples.race()).id
    store.write_block(race, "block", samples.of_every_kind())
    store.write_note(race, "step seconds", {"Adam": 1.5e-4})
    store.beat(race, "session", {"stage": "tuning"})
    store.set_status(race, "finished")


if __name__ == "__main__":
    path = FIXTURES / f"schema-{SCHEMA_VERSION}.db"
    if path.exists():
        raise SystemExit(f"{path} is there already, and is kept as it is.")
    with SQLiteStore(path) as new:
        fill(new)
    print(f"Wrote {path}.")
