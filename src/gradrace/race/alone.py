"""One process at a time trains a race on a store; a second one waits until the first has ended, or was killed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from gradrace.errors import Interrupted, StoreError


@contextmanager
def alone(race: str, store: Path, quiet: bool) -> Iterator[None]:
    """Have a race on a store for this process alone, if need be after a wait, which is told unless ``quiet``.

    The lock is the system's, on a file beside the store, and ends with its process however that ends. Who waited finds
    the race in the store: as it ended, or as far as it came.

    Raises:
        Interrupted: Ctrl-C while it waits. StoreError: no lock can be had there.
    """
    folder = store.absolute().parent
    made = [above for above in (folder, *folder.parents) if not above.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / f"{store.name}-{race}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not quiet:
                print(f"Race {race} is being run on this store by another process. Waiting for it.", file=sys.stderr)
            lock.acquire()
    except KeyboardInterrupt:
        raise Interrupted("Stopped while waiting for another process that runs this race.") from None
    except OSError as error:
        raise StoreError(
            f"The store at {store} cannot be used: no lock can be had beside it ({error.strerror}). Choose a path in a "
            "folder that can be written to."
        ) from error
    try:
        yield
    finally:
        lock.release()
        for above in made if not store.exists() else ():  # a race that could not start writes nothing
            with suppress(OSError):
                above.rmdir()
