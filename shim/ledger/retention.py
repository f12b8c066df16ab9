"""How long single records are kept, by a clock that is not believed when it jumps."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final

from shim.ledger.tables import writing
from shim.ledger.tables.schema import to_ms

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from shim.clocks import Heard, Witness

_REACHED: Final = "retention_clock"


class Retention:
    """Keeps single records for ``retain``.

    Time that the clock shows is believed as far as ``witness`` shows it too.  Without one, it is
    what the ledger had reached before, and what passed since by ``time.monotonic``: a machine that
    starts with its clock ahead drops nothing, and one that was off for long drops things later.
    """

    def __init__(
        self, retain: timedelta, clock: Callable[[], datetime], witness: Witness | None
    ) -> None:
        self._retain = retain
        self._clock = clock
        self._witness = witness
        self._heard: Heard | None = None
        self._reached: tuple[float, int] | None = None

    def load(self, connection: Connection) -> None:
        """Read, once, how far the ledger had got."""
        if self._reached is None:
            known = writing.read_fact(connection, _REACHED) or writing.last_sign(connection)
            reached = to_ms(self._clock()) if known is None else int(known)
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
            writing.write_fact(connection, _REACHED, str(self._now()))

    def _now(self) -> int:
        heard = None if self._witness is None else self._witness.heard
        if heard is not None and heard is not self._heard:
            self._heard = heard
            self._reached = heard.at, to_ms(min(heard.theirs, heard.ours))
        if self._reached is None:
            return 0
        at, reached = self._reached
        return min(to_ms(self._clock()), reached + int((time.monotonic() - at) * 1000))
