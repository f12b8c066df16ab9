"""What requests have told the ledger and its thread has yet to write."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from shim.ledger.evidence import REACHED, Kind
from shim.ledger.records import OTHER
from shim.ledger.tables import writing
from shim.ledger.tables.schema import HOUR, to_ms
from shim.ledger.tables.writing import SumKey, Tally

if TYPE_CHECKING:
    from datetime import datetime

    from shim.clocks import Heard
    from shim.ledger.records import ReplacementCall, Told

_COUNT_KEYS: Final = 10_000
# Addresses are as many as somebody likes to send nonsense from: they leave room for callers.
_ADDRESS_KEYS: Final = 5_000


class Look(NamedTuple):
    """What a look around has found: the time, by this clock, a monotonic one, and another.

    ``moment`` is in milliseconds since 1970, ``at`` by ``time.monotonic``; ``newest`` is the number
    of the newest record that there was then.
    """

    moment: int
    at: float
    newest: int
    heard: Heard | None


_NOTHING_YET: Final = Look(0, 0.0, 0, None)


@dataclass(slots=True)
class Inbox:
    """What requests hand to the writer.

    Records are numbered as they come, from 1: ``newest`` is the number of the last one that came.
    What happened before ``seen`` is in here, or was.
    ``carried`` is how many requests besides probes there ever were.  ``lost`` records will never be
    written, the last of them since ``last_lost``.
    """

    records: deque[Told] = field(default_factory=deque)
    newest: int = 0
    carried: int = 0
    seen: Look = _NOTHING_YET
    lock: threading.Lock = field(default_factory=threading.Lock)
    wake: threading.Event = field(default_factory=threading.Event)
    lost: int = 0
    last_lost: datetime | None = None
    _counts: dict[SumKey, Tally] = field(default_factory=dict)

    def lose(self, moment: datetime) -> None:
        """Count a record that is lost."""
        self.lost += 1
        self.lost_by(moment)

    def lost_by(self, moment: datetime) -> None:
        """Note when one was lost; a clock that is set back takes nothing back."""
        if self.last_lost is None or self.last_lost < moment:
            self.last_lost = moment

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
        key = SumKey(
            *(moment // HOUR, call.caller, Kind.REPLACEMENT_CALL.value, call.instance),
            *(call.caller_source, call.mode, REACHED if call.reached else "", call.status),
        )
        with self.lock:
            put(self._counts, key, (1, moment, moment))

    def count_unreadable(self, address: str, instance: str, timestamp: datetime) -> None:
        """Add one request of which not even the first line could be read."""
        moment = to_ms(timestamp)
        key = SumKey(moment // HOUR, address, Kind.UNREADABLE.value, instance, "address")
        with self.lock:
            put(self._counts, key, (1, moment, moment))

    def take_counts(self) -> dict[SumKey, Tally]:
        """Return what was counted since the last time."""
        with self.lock:
            counts, self._counts = self._counts, {}
        return counts


def put(counts: dict[SumKey, Tally], key: SumKey, tally: Tally) -> None:
    """Add ``tally`` to what waits; past so many sums what is new is of ``(other)``."""
    most = _ADDRESS_KEYS if key.kind == Kind.UNREADABLE else _COUNT_KEYS
    if len(counts) >= most and key not in counts:
        key = key._replace(caller=OTHER)
    writing.add(counts, key, tally)
