"""How long a caller is waited for while it sends a body."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, NamedTuple

from shim.http1.bodies import Piece
from shim.http1.grammar import LimitError
from shim.net.stream import Stream

# As Apache's mod_reqtimeout: "body=20,MinRate=500".
_GRACE_SECONDS: Final = 20.0


class Patience(NamedTuple):
    """Seconds without a byte, seconds in all, and the least rate in bytes per second (0: none)."""

    stall: float
    total: float
    rate: int


class Waiting:
    """The time that one body has left; what upstream takes to read it does not count."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._waited = 0.0
        self._came = 0

    def left(self) -> float:
        """Return for how many seconds the caller may be waited for now."""
        stall, total, rate = self._patience
        left = min(stall, total - self._waited)
        if rate:
            left = min(left, _GRACE_SECONDS + self._came / rate - self._waited)
        return max(left, 0.0)

    async def read(self, body: Stream) -> list[Piece]:
        """Return what comes next of ``body``; raise ``LimitError`` where it takes too long."""
        began = monotonic()
        try:
            async with asyncio.timeout(self.left()):
                pieces = await body.read()
        except TimeoutError:
            raise LimitError(408, "The request's body did not arrive in time") from None
        self.add(monotonic() - began, sum(map(len, pieces)))
        return pieces

    def add(self, seconds: float, size: int) -> None:
        """Take note that ``size`` bytes came after a wait of so many ``seconds``."""
        self._waited += seconds
        self._came += size
