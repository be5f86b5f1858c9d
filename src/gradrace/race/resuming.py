"""Whether a stored race can go on, as far as its record tells. Without torch."""

from __future__ import annotations

from gradrace._version import __version__
from gradrace.errors import SpecError, StoreError
from gradrace.store import RaceRecord


def check_resumable(record: RaceRecord) -> None:
    """Raise what stands in the way of going on with a race from its record alone.

    Raises:
        StoreError: another version of gradrace entered it.
        SpecError: its runs were imported; or its workload or an optimizer was given as a Python object, which a store
            does not hold.
    """
    if record.plan.get("imported") is not None:
        raise SpecError(
            f"Race {record.id} cannot go on: its runs were imported, and gradrace has nothing to train. With further "
            "runs import all of them anew."
        )
    if record.status != "finished" and record.version != __version__:
        raise StoreError(
            f"Race {record.id} was entered by gradrace {record.version}, and this is {__version__}, whose numbers may "
            f"differ. Install gradrace {record.version} to go on, or race anew."
        )
    again = "which the store does not hold. Run the same script again: it goes on where the race stopped."
    reference = record.plan["workload"]["reference"]
    if reference["kind"] == "object":
        raise SpecError(
            f"Race {record.id} was entered from Python with its own Workload '{reference['name']}', {again}"
        )
    for label, known in record.plan["contenders"].items():
        if known["source"] is not None and known["source"]["kind"] == "object":
            raise SpecError(f"Contender '{label}' was entered from Python with its own {known['optimizer']}, {again}")


def obstacle(record: RaceRecord) -> str | None:
    """Why a race cannot go on, as a sentence, or None if nothing is known to stand in the way."""
    try:
        check_resumable(record)
    except (SpecError, StoreError) as error:
        return str(error)
    except (KeyError, TypeError):  # an earlier version, or another program, wrote less down
        return f"Race {record.id} cannot go on: its record does not say what it raced on."
    return None
