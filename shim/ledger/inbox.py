"""What requests have told the ledger and its thread has yet to write."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from shim.ledger.evidence import Kind
from shim.ledger.records import OTHER
from shim.ledger.tables import writing
from shim.ledger.tables.schema import HOUR, to_ms
from shim.ledger.tables.writing import SumKey, Tally

if TYPE_CHECKING:
    from shim.clocks import Heard
    from shim.ledger.records import ReplacementCall, Told

COUNT_KEYS: Final = 10_000
"""How many sums of calls to the new endpoints may wait; what comes on top is of ``(other)``."""


class Look(NamedTuple):
    """What a look around has found: the time, by this clock, a monotonic one, and another.

    ``moment`` is in milliseconds since 1970, ``at`` by ``time.monotonic``; ``told`` is the number
    of records that there were then.
    """

    moment: int
    at: float
    told: int
    heard: Heard | None


_NOTHING_YET: Final = Look(0, 0.0, 0, None)


@dataclass(slots=True)
class Inbox:
    """What requests hand to the writer.

    ``told`` is the number of records that there ever were; what happened before ``seen`` was told.
    """

    records: deque[Told] = field(default_factory=deque)
    told: int = 0
    seen: Look = _NOTHING_YET
    lock: threading.Lock = field(default_factory=threading.Lock)
    wake: threading.Event = field(default_factory=threading.Event)
    lost: int = 0
    _counts: dict[SumKey, Tally] = field(default_factory=dict)

    def copy(self) -> list[Told]:
        """Return the records that wait, while two threads put them in and take them out."""
        while True:
            try:
                return list(self.records)
            except RuntimeError:
                continue

    def count(self, call: ReplacementCall) -> None:
        """Add one call to a new endpoint."""
        moment = to_ms(call.timestamp)
        key: SumKey = (
            *(moment // HOUR, call.caller, Kind.REPLACEMENT_CALL.value, call.instance),
            *(call.caller_source, call.mode, "", call.status, False),
        )
        with self.lock:
            if len(self._counts) >= COUNT_KEYS and key not in self._counts:
                key = (key[0], OTHER, *key[2:])
            writing.add(self._counts, key, (1, moment, moment))

    def take_counts(self) -> dict[SumKey, Tally]:
        """Return what was counted since the last time."""
        with self.lock:
            counts, self._counts = self._counts, {}
        return counts
