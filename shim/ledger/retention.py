"""How long single records are kept: by a clock that may jump, and until a fleet has got them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from shim.ledger.tables import facts
from shim.ledger.tables.schema import to_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from shim.clocks import Heard
    from shim.ledger.inbox import Inbox

_REACHED: Final = "retention_clock"


@dataclass(slots=True)
class Shipped:
    """How far the fleet has got what a ledger holds: what it has not got yet is kept.

    ``wanted`` tells whether there is a fleet.  ``marks`` holds the number of the last row of each
    table that it has, and is ``None`` until it was asked.
    """

    wanted: bool
    marks: dict[str, int] | None = None


class Retention:
    """Keeps single records for ``retain``.

    Time that the last look around has found is believed as far as another clock shows it too.
    Where none was heard, it is what the ledger had reached before, and what passed since by
    ``time.monotonic``: a machine that starts with its clock ahead drops nothing, and one that was
    off for long drops things later.
    """

    def __init__(self, retain: timedelta, inbox: Inbox) -> None:
        self._retain = retain
        self._inbox = inbox
        self._heard: Heard | None = None
        self._reached: tuple[float, int] | None = None

    def load(self, connection: Connection) -> None:
        """Read, once, how far the ledger had got."""
        if self._reached is None:
            known = facts.read_fact(connection, _REACHED) or facts.last_sign(connection)
            reached = self._inbox.seen.moment if known is None else int(known)
            self._reached = time.monotonic(), reached

    def before(self, shown: int | None = None) -> int:
        """Return from when on records are kept, in milliseconds since 1970.

        ``shown`` is what yet another clock shows, that of the server they are on.
        """
        now = self._now() if shown is None else min(self._now(), shown)
        return max(0, now - self._retain // timedelta(milliseconds=1))

    def note(self, connection: Connection) -> None:
        """Write down how far it has got."""
        with connection.begin():
            facts.write_fact(connection, _REACHED, str(self._now()))

    def _now(self) -> int:
        look = self._inbox.seen
        heard = look.heard
        if heard is not None and heard is not self._heard:
            self._heard = heard
            self._reached = heard.at, to_ms(min(heard.theirs, heard.ours))
        if self._reached is None:
            return 0
        at, reached = self._reached
        return min(look.moment, reached + int((time.monotonic() - at) * 1000))
