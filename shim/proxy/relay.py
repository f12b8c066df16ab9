"""The relay lane: a plain request that is none of our business goes on as it came.

Its bytes get our lines appended and go to an idle connection to upstream; a plain answer goes down
as it came.  There is no object per field, no task and no timer.  Everything else takes the other
lane, the handler's, which sends the same bytes both ways.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Protocol

from shim.http1.fields import added_lines, forwarded_for
from shim.http1.plain import PlainFields, plain_borders, plain_fields
from shim.http1.requests import MOST_REMEMBERED
from shim.record.recorder import Recorder
from shim.route.meaning import may_concern_us
from shim.upstream.connection import Connection
from shim.upstream.pool import Pool


class Caller(Protocol):
    """A caller's connection, as far as the lane knows it."""

    peer: str

    @property
    def open_transport(self) -> asyncio.Transport | None:
        """Where answers go, unless the caller has left."""

    @property
    def ending(self) -> bool:
        """Whether the next answer says that the connection closes."""

    @property
    def writing_paused(self) -> bool:
        """Whether the caller reads its answers too slowly."""

    def next_message(self, now: float) -> None:
        """Give the turn back to the caller; ``now`` by ``time.monotonic``."""

    def take_over(self, request: bytes, connection: Connection) -> None:
        """Let the handler read the answer to ``request``, which has gone up ``connection``."""


class RelayLane:
    """What the relays of all callers share; ``scheme`` is that of the listener.

    ``max_body`` is in bytes; the handler's lane goes by it too.  ``upstream_host`` is the Host sent
    in the caller's stead.
    """

    def __init__(
        self,
        pool: Pool,
        recorder: Recorder,
        *,
        scheme: bytes,
        max_body: int | None,
        upstream_host: bytes | None = None,
    ) -> None:
        self.pool = pool
        self.answer_timeout = pool.answer_timeout
        self.count = recorder.relayed
        self.carried = recorder.carried
        self.scheme = scheme
        self.max_body = max_body
        self.upstream_host = upstream_host
        self.in_flight = 0


class Relay:
    """The lane of one caller's connection: one request at a time."""

    def __init__(self, lane: RelayLane, caller: Caller) -> None:
        self._lane = lane
        self._caller = caller
        self._connection: Connection | None = None
        self._request = b""
        self._method = b""
        self._began = 0.0
        self._sent = 0.0
        self._raw_fields = b""
        self._fields: PlainFields | None = None

    @property
    def open(self) -> bool:
        """Whether answers go down as they came; they do not where they end the connection."""
        return not self._caller.ending

    def send(self, data: bytes) -> bool:
        """Send ``data`` on if it is one plain request and a connection is free for it."""
        began = monotonic()
        lane, caller = self._lane, self._caller
        if may_concern_us(data) or caller.ending or caller.writing_paused:
            return False
        found = plain_borders(data)
        if found is None:
            return False
        method, begin, end = found
        fields = self._read(data[begin:end])
        if fields is None or len(data) - end != fields.length:
            return False
        connection = lane.pool.take()
        if connection is None:
            return False
        lane.in_flight += 1
        self._connection = connection
        self._method = method
        self._request = data
        self._began = began
        request = data[:begin] + fields.lines + data[end:]
        connection.relay(request, self, began, lane.answer_timeout)
        self._sent = monotonic()
        return True

    def answered(self, data: bytes, status: int, came: float) -> None:
        """Send a plain answer down; called by the connection to upstream."""
        lane = self._lane
        lane.carried(self._request)
        self._end()
        transport = self._caller.open_transport
        if transport is not None:
            transport.write(data)
        upstream = came - self._sent
        now = monotonic()
        lane.count(self._method, status, now - self._began - upstream, upstream)
        self._caller.next_message(now)

    def take_over(self, connection: Connection) -> None:
        """Leave the rest to the handler; called by the connection to upstream."""
        request = self._request
        self._end()
        self._caller.take_over(request, connection)

    def give_up(self) -> None:
        """End what is under way: the caller has gone."""
        if self._connection is not None:
            self._connection.abort()
            self._lane.carried(self._request)
            self._end()

    def _read(self, raw: bytes) -> PlainFields | None:
        """Return the fields as they go up: what a caller always sends is read once."""
        if raw == self._raw_fields:
            return self._fields
        fields = self._rewritten(raw)
        if len(raw) <= MOST_REMEMBERED:
            self._raw_fields, self._fields = raw, fields
        return fields

    def _rewritten(self, raw: bytes) -> PlainFields | None:
        lane, fields = self._lane, plain_fields(raw)
        if fields is None or (lane.max_body is not None and fields.length > lane.max_body):
            return None
        peer = forwarded_for(self._caller.peer)
        added = added_lines(peer=peer, proto=lane.scheme, host=fields.host)
        if lane.upstream_host is not None:
            fields = fields.with_host(lane.upstream_host)
        return fields._replace(lines=fields.lines + added + b"\r\n")

    def _end(self) -> None:
        self._connection = None
        self._request = b""
        self._lane.in_flight -= 1
