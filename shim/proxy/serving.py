"""What all connections from callers share, whichever version of HTTP they speak."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

from shim.proxy.admission import Admission
from shim.proxy.downstream import Downstream
from shim.proxy.patience import Patience
from shim.proxy.relay import RelayLane
from shim.record.incidents import Incidents

LINGER_SECONDS: Final = 1.0
"""For how long what a caller still sends is read behind its last answer (RFC 9112 section 9.6)."""


@dataclass(slots=True, kw_only=True)
class Serving:
    """Who serves requests, and what callers are held to.  Times are in seconds, sizes in bytes.

    ``most_requests`` is how many one connection may carry.
    """

    handle: Callable[[Downstream], Awaitable[None]]
    """:meth:`shim.proxy.handling.Proxy.handle`: answers one request.

    Raises ``DownstreamGoneError`` where that cannot be done.
    """
    lane: RelayLane
    incidents: Incidents
    admission: Admission
    most_requests: int
    head_timeout: float
    patience: Patience
    keepalive_timeout: float
    draining: bool = False
    """Whether answers say that their connections close."""
    heard: int = 0
    """How many connections were one too many, and have callers that are still heard."""
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    """What serves a stream, records a request that is not served, or closes a connection."""

    @property
    def max_body(self) -> int | None:
        """The largest body of a request, which both lanes go by."""
        return self.lane.max_body

    def start(self, serving: Coroutine[Any, Any, None]) -> None:
        """Do one of these."""
        task = asyncio.get_running_loop().create_task(serving)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
