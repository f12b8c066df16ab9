"""Adding records that a log holds: of a shim whose ledger is lost, or from before it had one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import Connection

from shim.ledger.records import Record
from shim.ledger.tables import facts, writing
from shim.ledger.tables.opening import is_fleet, open_fleet, open_ledger, reading
from shim.ledger.tables.schema import to_ms
from shim.ledger.tables.writing import Batch, Names

_AT_ONCE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of lines: ``new`` ones were added, ``known`` ones were there already.

    ``too_old`` ones are from before the time from which single uses are kept: whether they were
    counted can no longer be told, so they were left out.
    """

    new: int = 0
    known: int = 0
    too_old: int = 0


def import_records(
    source: Path | str, records: Iterable[Record], *, caller_cap: int = 1000
) -> Imported:
    """Add uses and near misses; the same ones twice change nothing.

    A shim may be writing to ``source`` meanwhile.
    """
    names = Names(caller_cap)
    new = known = too_old = 0
    with reading(source), closing(_opened(source)) as connection:
        with connection.begin():
            names.load(connection)
            horizon = facts.horizon(connection)
        batch = Batch()

        def flush() -> None:
            nonlocal batch, new, known
            with names.transaction(connection):
                added = writing.write(connection, batch, names)
            new += added
            known += len(batch.records) - added
            batch = Batch()

        for record in records:
            if to_ms(record.timestamp) < horizon:
                too_old += 1
                continue
            batch.records.append(record)
            if len(batch.records) >= _AT_ONCE:
                flush()
        flush()
    return Imported(new=new, known=known, too_old=too_old)


def _opened(source: Path | str) -> Connection:
    return open_fleet(str(source)) if is_fleet(source) else open_ledger(source, busy_seconds=30)
