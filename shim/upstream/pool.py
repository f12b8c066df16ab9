"""The pool of connections to upstream."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from shim.net.addresses import Address
from shim.upstream.connection import Connection
from shim.upstream.errors import UpstreamError, UpstreamTimeoutError

_IDLE_SECONDS: Final = 55.0


@dataclass(slots=True)
class PoolStats:
    """Plain numbers for the metrics."""

    opened: int = 0
    idle: int = 0
    busy: int = 0


class Pool:
    """Connections to the first upstream that takes them, the last used handed out first."""

    def __init__(
        self,
        upstreams: Sequence[Address],
        *,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        answer_timeout: float,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._upstreams = list(upstreams)
        self._tls = tls
        self._connect_timeout = connect_timeout
        self.answer_timeout = answer_timeout
        self._loop = loop
        self._idle: list[Connection] = []
        self._busy = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self.stats = PoolStats()

    def take(self) -> Connection | None:
        """Return an idle connection, or ``None``: then :meth:`connect`."""
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed:
                self._busy += 1
                return connection
        return None

    async def connect(self) -> Connection:
        """Open a connection to the first upstream that accepts one.

        Raises :class:`UpstreamError`; an upstream that refuses goes to the end of the list.
        """
        failure = UpstreamError("connect", "There is no upstream")
        for _ in range(len(self._upstreams)):
            address = self._upstreams[0]
            try:
                async with asyncio.timeout(self._connect_timeout):
                    connection = await self._open(address)
            except TimeoutError:
                message = f"Upstream {address.url} did not accept a connection in time"
                failure = UpstreamTimeoutError("connect_timeout", message)
            except ssl.SSLError as error:
                reason = error.reason or error
                message = f"Upstream {address.url} failed the TLS handshake: {reason}"
                failure = UpstreamError("tls", message)
            except OSError as error:
                reason = error.strerror or type(error).__name__
                message = f"Upstream {address.url} cannot be reached: {reason}"
                failure = UpstreamError("connect", message)
            else:
                self._busy += 1
                self.stats.opened += 1
                return connection
            if len(self._upstreams) > 1 and self._upstreams[0] is address:
                self._upstreams.append(self._upstreams.pop(0))
        raise failure

    async def _open(self, address: Address) -> Connection:
        loop = self._loop
        tls = self._tls if address.tls else None

        def protocol() -> Connection:
            return Connection(loop, self._forget)

        if address.host is None:
            return (await loop.create_unix_connection(protocol, address.path))[1]
        return (await loop.create_connection(protocol, address.host, address.port, ssl=tls))[1]

    def give_back(self, connection: Connection) -> None:
        """Take ``connection`` back after its exchange, and close it if it cannot be used again."""
        if not connection.reusable:
            self._busy -= 1
            connection.abort()
            connection.end_exchange()
            return
        connection.end_exchange()
        self.keep(connection)

    def keep(self, connection: Connection) -> None:
        """Keep a connection on which no exchange is under way."""
        self._busy -= 1
        if connection.closed:
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_IDLE_SECONDS, self._sweep)

    def count(self) -> PoolStats:
        """Return the numbers as they are now."""
        self.stats.idle = len(self._idle)
        self.stats.busy = self._busy
        return self.stats

    def close(self) -> None:
        """Close every idle connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._idle:
            self._idle.pop().abort()

    def _forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self) -> None:
        self._sweeper = None
        oldest = self._loop.time() - _IDLE_SECONDS
        for connection in [c for c in self._idle if c.idle_since <= oldest]:
            self._idle.remove(connection)
            connection.abort()
        if self._idle:
            self._sweeper = self._loop.call_later(_IDLE_SECONDS / 4, self._sweep)
