"""The pool of connections to upstream."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final

from shim.upstream.connection import Connection
from shim.upstream.errors import UpstreamBusyError, UpstreamError, UpstreamTimeoutError
from shim.upstream.node import Node, in_turn

_IDLE_SECONDS: Final = 55.0
_NONE_FREE: Final = "No connection to upstream came free in time (--max-upstream-connections)"
_SWEEP_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class PoolStats:
    """Plain numbers for the metrics."""

    opened: int
    idle: int
    busy: int
    waiting: int


class Ticket:
    """A place in the line for a connection, to be left when nobody needs one any more."""

    served: asyncio.Future[Connection | None] | None = None

    def abort(self, why: Exception) -> None:
        """Leave the line; who waits here gets ``why``."""
        if self.served is not None and not self.served.done():
            self.served.set_exception(why)


class Pool:
    """Connections to the first of ``nodes`` that takes them, the last used handed out first.

    There are ``most`` at a time; who finds none waits its turn, as ``most_waiting`` may.
    ``connect_timeout`` and ``answer_timeout`` are in seconds; one sweep over all connections keeps
    the latter, and closes those that have been idle for long.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        tls: ssl.SSLContext | None,
        connect_timeout: float,
        answer_timeout: float,
        most: int,
        most_waiting: int,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.nodes = tuple(nodes)
        self._tls = tls
        self._connect_timeout = connect_timeout
        self.answer_timeout = answer_timeout
        self._loop = loop
        self._most = most
        self._most_waiting = most_waiting
        # Connections that are being opened, or that somebody has been given leave to open.
        self._opening = 0
        # Each gets a connection, or leave to open one: then it is None, and counted above.
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._all: set[Connection] = set()
        self._idle: list[Connection] = []
        self._opened = 0
        self._tick = min(_SWEEP_SECONDS, answer_timeout / 8)
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """Return an idle connection, or ``None``: then :meth:`get`."""
        while self._idle:
            connection = self._idle.pop()
            if connection.free and connection.node.failure is None:
                return connection
            connection.abort()
        return None

    def keep(self, connection: Connection, now: float) -> None:
        """Keep a connection on which no exchange is under way; ``now`` by ``time.monotonic``."""
        connection.since = now
        if not self._give(connection):
            self._idle.append(connection)

    def give_back(self, connection: Connection) -> None:
        """Take ``connection`` back after an exchange that was read piece by piece."""
        if connection.end_exchange():
            self.keep(connection, monotonic())

    def forget(self, connection: Connection) -> None:
        """Take note that a connection is closed."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._let_open()

    async def get(
        self, but: Node | None = None, *, fresh: bool = False, ticket: Ticket | None = None
    ) -> Connection:
        """Return a new connection, or where there are as many as may be, one that comes free.

        A new one is to the first upstream that accepts it: one that does not answer is tried last,
        and ``but`` never.  One in the stead of another that has just closed is ``fresh``, without a
        wait.  ``ticket`` stands for the place in line, and can be given back.  Raises
        :class:`UpstreamError`.
        """
        if fresh or not (self._full or self._waiting):
            self._opening += 1
        elif (connection := self.take() or await self._in_line(ticket or Ticket())) is not None:
            return connection
        try:
            return await self._connect(but)
        finally:
            self._opening -= 1
            self._let_open()

    @property
    def _full(self) -> bool:
        return len(self._all) + self._opening >= self._most

    async def _in_line(self, ticket: Ticket) -> Connection | None:
        """Wait for a connection that another exchange gives back, or for leave to open one."""
        if len(self._waiting) >= self._most_waiting:
            raise UpstreamBusyError("Too many requests wait for upstream (--max-waiting)")
        served: asyncio.Future[Connection | None] = self._loop.create_future()
        ticket.served = served
        self._waiting.append(served)
        try:
            async with asyncio.timeout(self.answer_timeout):
                connection = await served
        except BaseException as error:
            if served in self._waiting:
                self._waiting.remove(served)
            elif not served.cancelled() and served.exception() is None:
                self._hand_on(served.result())
            if isinstance(error, TimeoutError):
                raise UpstreamBusyError(_NONE_FREE) from None
            raise
        if connection is None or connection.free:
            return connection
        self._opening += 1
        return None

    def _hand_on(self, connection: Connection | None) -> None:
        """Give to somebody else what came for one who has just left."""
        if connection is None:
            self._opening -= 1
            self._let_open()
        elif connection.free:
            self.keep(connection, monotonic())

    def _let_open(self) -> None:
        """Let the first who waits open a connection, if there may be one more."""
        if not self._full and self._give(None):
            self._opening += 1

    def _give(self, connection: Connection | None) -> bool:
        """Give to the first who waits, if anybody does."""
        while self._waiting:
            served = self._waiting.popleft()
            # One that has just been cancelled is still in line.
            if not served.done():
                served.set_result(connection)
                return True
        return False

    async def _connect(self, but: Node | None) -> Connection:
        failure = UpstreamError("connect", "There is no upstream")
        for node in in_turn([node for node in self.nodes if node is not but]):
            try:
                return await self.open(node)
            except UpstreamError as error:
                node.failed(error, monotonic())
                failure = error
        raise failure

    async def open(self, node: Node) -> Connection:
        """Open a connection to ``node``; raise :class:`UpstreamError`."""
        url = node.address.url
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._open(node)
        except TimeoutError:
            message = f"Upstream {url} did not accept a connection in time"
            raise UpstreamTimeoutError("connect_timeout", message) from None
        except ssl.SSLError as error:
            message = f"Upstream {url} failed the TLS handshake: {error.reason or error}"
            raise UpstreamError("tls", message) from None
        except (OSError, UnicodeError) as error:
            # A host that is no name is one as well.
            reason = getattr(error, "strerror", None) or type(error).__name__
            raise UpstreamError("connect", f"Upstream {url} cannot be reached: {reason}") from None
        self._opened += 1
        self._all.add(connection)
        self._sweep_later()
        return connection

    async def _open(self, node: Node) -> Connection:
        loop, address = self._loop, node.address
        tls = self._tls if address.tls else None

        def protocol() -> Connection:
            return Connection(loop, self, node)

        if address.host is None:
            return (await loop.create_unix_connection(protocol, address.path))[1]
        return (await loop.create_connection(protocol, address.host, address.port, ssl=tls))[1]

    def time_out(self, connection: Connection, message: str) -> None:
        """Give up an exchange that upstream lets wait: its node does not answer."""
        error = UpstreamTimeoutError("timeout", message)
        connection.node.failed(error, monotonic())
        connection.time_out(error)

    def count(self) -> PoolStats:
        """Return the numbers as they are now."""
        idle = len(self._idle)
        return PoolStats(self._opened, idle, len(self._all) - idle, len(self._waiting))

    def close(self) -> None:
        """Close every connection."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        self._idle.clear()
        for connection in list(self._all):
            connection.abort()

    def _sweep_later(self) -> None:
        if self._sweeper is None and self._all:
            self._sweeper = self._loop.call_later(self._tick, self._sweep)

    def _sweep(self) -> None:
        self._sweeper = None
        now = monotonic()
        for connection in [one for one in self._all if one.deadline <= now]:
            seconds = self.answer_timeout
            self.time_out(connection, f"Upstream did not begin its answer within {seconds:g} s")
        while self._idle and self._idle[0].since <= now - _IDLE_SECONDS:
            self._idle.pop(0).abort()
        self._sweep_later()
