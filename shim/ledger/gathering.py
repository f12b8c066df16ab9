"""What is written next: what requests have told, and what other processes left in the journal."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from typing import Final

from shim.ledger.evidence import Kind
from shim.ledger.inbox import Inbox, Look, put
from shim.ledger.leftovers import Leftovers
from shim.ledger.records import Use, decode, encode
from shim.ledger.tables import writing
from shim.ledger.tables.schema import HOUR, to_ms
from shim.ledger.tables.writing import Batch, SumKey

_GROUP: Final = 1000
_NOTHING: Final = Batch()

# What no disk, lock or restart will cure: the record itself does not fit.
UNFIT: Final = (
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    sqlite3.DataError,
    OverflowError,
    TypeError,
    ValueError,
)


class Gathering:
    """Takes what is written together from ``inbox`` and from ``left``, and holds it till it is.

    ``newest`` is the number of the newest record that has come out of the inbox, ``unfit`` how many
    can never be written.  What is left over from before ``horizon`` is passed over.
    """

    def __init__(self, inbox: Inbox, instance: str) -> None:
        self.batch = Batch()
        self.left: Final = Leftovers()
        self.horizon = 0
        self.newest = 0
        self.unfit = 0
        self._inbox = inbox
        self._instance = instance
        self._carried = 0
        self._hour = -1

    def __bool__(self) -> bool:
        return self.batch != _NOTHING

    @property
    def more(self) -> bool:
        """Whether the next group need not wait for anything."""
        return len(self._inbox.records) >= _GROUP or bool(self.left)

    def take(self, look: Look) -> list[str]:
        """Add what there is, up to a group; return whose calls, of those left over, were let in."""
        batch, records = self.batch, self._inbox.records
        while records and len(batch.records) < _GROUP:
            batch.records.append(records.popleft())
            self.newest += 1
        for key, tally in self._inbox.take_counts().items():
            put(batch.counts, key, tally)
        self._take_carried(look)
        return self._take_left() if self.left else []

    def written(self) -> None:
        """Begin another group: the ledger has this one, on the disk."""
        self.batch = Batch()
        self.left.kept()

    def set_unfit_aside(self, now: datetime) -> None:
        """Try every record of the group by itself, and lose those that can never be written."""
        records, self.batch.records = self.batch.records, []
        for record in records:
            try:
                # What can be written as a line and read again has all that a database asks for.
                self.batch.records.append(decode(encode(record)))
            except UNFIT:
                self.unfit += 1
                self._inbox.lost_by(now)

    def _take_left(self) -> list[str]:
        records = self.batch.records
        left = self.left.take(_GROUP - len(records))
        # Whether an older one was counted can no longer be told.
        left = [record for record in left if to_ms(record.timestamp) >= self.horizon]
        records.extend(left)
        if not records:
            # What was read before has been written.
            self.left.kept()
        return [one.caller for one in left if isinstance(one, Use) and one.admitted]

    def _take_carried(self, look: Look) -> None:
        """Count what was carried since the last time, and in each hour that there is one: maybe 0.

        What is behind ``look`` is in its hour, to a fraction of a second.
        """
        carried, moment, heard = self._inbox.carried, look.moment, look.heard
        hour = moment // HOUR
        in_doubt = heard is not None and not heard.agrees
        if carried == self._carried and (hour == self._hour or in_doubt):
            return
        key = SumKey(hour, "", Kind.CARRIED.value, self._instance)
        writing.add(self.batch.counts, key, (carried - self._carried, moment, moment))
        self._carried, self._hour = carried, hour
