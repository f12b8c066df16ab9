"""A request on its way to upstream: its fields, its connection, and how often it is tried."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, NamedTuple

from shim.http1.bodies import Framing, as_chunk, one_chunk
from shim.http1.fields import find, forwarded_for, forwarded_request
from shim.http1.grammar import FramingError
from shim.proxy.downstream import Downstream, DownstreamGoneError
from shim.proxy.exchange import Exchange
from shim.record.incidents import Incidents
from shim.route.caller import Network, is_trusted
from shim.upstream.connection import Connection
from shim.upstream.errors import ClosedBeforeAnswerError, UpstreamTimeoutError
from shim.upstream.node import Node
from shim.upstream.pool import Pool, Ticket

_CHUNKED: Final = b"Transfer-Encoding: chunked\r\n"
_NO_FIELDS: Final[frozenset[bytes]] = frozenset()


class Outgoing(NamedTuple):
    """A request's head for upstream, and how to send it.

    ``repeatable`` says that it may be sent again where nobody knows whether upstream read it (RFC
    9110 section 9.2.2), ``seen_through`` that a caller who leaves does not end it: it has an effect
    that is to be recorded.
    """

    head: bytes
    head_only: bool
    with_body: bool
    chunked: bool
    repeatable: bool
    seen_through: bool


class Forwarder:
    """Sends requests to upstream.

    ``scheme`` is that of the listener; ``default_host`` is the Host of HTTP/1.0 requests without
    one, ``upstream_host`` the one sent in any caller's stead.
    """

    def __init__(
        self,
        pool: Pool,
        incidents: Incidents,
        *,
        trusted_proxies: tuple[Network, ...],
        scheme: bytes,
        default_host: bytes,
        upstream_host: bytes | None = None,
    ) -> None:
        self._pool = pool
        self._incidents = incidents
        self._trusted_proxies = trusted_proxies
        self._scheme = scheme
        self._default_host = default_host
        self._upstream_host = upstream_host

    def outgoing(
        self,
        downstream: Downstream,
        method: bytes,
        target: bytes,
        *,
        with_body: bool,
        repeatable: bool,
        seen_through: bool,
        without: frozenset[bytes] = _NO_FIELDS,
    ) -> Outgoing:
        """Return the request for upstream: the caller's, less this hop's fields, plus ours."""
        head = downstream.head
        peer = downstream.peer
        host = head.authority
        if head.minor_version == 0:
            # RFC 9110 section 10.1.1: an expectation in HTTP/1.0 is to be ignored.
            without |= {b"expect"}
            if host is None and find(head.fields, b"host") is None:
                host = self._default_host
        memory = downstream.memory.of(head.fields)
        how = (head.minor_version, host, without)
        if memory.forwarded[0] != how:
            lines = forwarded_request(
                head.fields,
                peer=forwarded_for(peer),
                proto=self._scheme,
                version=head.version,
                host=host,
                trusted=is_trusted(peer, self._trusted_proxies),
                without=without,
                upstream_host=self._upstream_host,
            )
            memory.forwarded = (how, b"".join(lines))
        chunked = with_body and head.framing is Framing.CHUNKED
        return Outgoing(
            b"%b %b HTTP/1.1\r\n%b%b\r\n"
            % (method, target, memory.forwarded[1], _CHUNKED if chunked else b""),
            head_only=method == b"HEAD",
            with_body=with_body,
            chunked=chunked,
            repeatable=repeatable,
            seen_through=seen_through,
        )

    async def pass_on(
        self, downstream: Downstream, *, repeatable: bool, seen_through: bool
    ) -> Exchange:
        """Send the caller's request on as it came; see :meth:`send`.

        One with a body is never repeated: the body has gone.
        """
        head = downstream.head
        request = self.outgoing(
            downstream,
            head.method,
            head.target,
            with_body=head.has_body,
            repeatable=repeatable and not head.has_body,
            seen_through=seen_through,
        )
        return await self.send(downstream, request)

    async def send(self, downstream: Downstream, request: Outgoing) -> Exchange:
        """Send ``request`` (and the body) and wait for the answer's final head.

        Where the relay lane has sent it already, only wait.  A repeatable request is sent again
        where a kept connection closed before a byte of the answer came, and to the next upstream
        where one does not answer.  Raises ``UpstreamError``, ``FramingError`` and
        ``DownstreamGoneError``.
        """
        connection, downstream.relayed = downstream.relayed, None
        sent = connection is not None
        if connection is None:
            connection = self._pool.take() or await self._connection(downstream, request)
        nodes = len(self._pool.nodes)
        attempts = max(2, nodes) if request.repeatable else 1
        while True:
            attempts -= 1
            try:
                if sent:
                    return await self._answer(downstream, connection)
                return await self._attempt(downstream, request, connection)
            except (ClosedBeforeAnswerError, UpstreamTimeoutError) as error:
                stale = isinstance(error, ClosedBeforeAnswerError) and connection.used
                if not attempts or not (stale or nodes > 1):
                    raise
                self._incidents.upstream_failed(error)
            # In the stead of one that has closed; or, where a node does not answer, elsewhere.
            connection = await self._connection(
                downstream, request, but=None if stale else connection.node, fresh=stale
            )
            sent = False

    async def _connection(
        self,
        downstream: Downstream,
        request: Outgoing,
        but: Node | None = None,
        *,
        fresh: bool = False,
    ) -> Connection:
        """Return a connection; a caller that leaves gives up its place in the line for one."""
        ticket = Ticket()
        if not request.seen_through:
            if downstream.gone:
                raise DownstreamGoneError
            downstream.upstream = ticket
        try:
            return await self._pool.get(but, fresh=fresh, ticket=ticket)
        finally:
            downstream.upstream = None

    async def _attempt(
        self, downstream: Downstream, request: Outgoing, connection: Connection
    ) -> Exchange:
        if not request.seen_through:
            if downstream.gone:
                self._pool.keep(connection, monotonic())
                raise DownstreamGoneError
            downstream.upstream = connection
        pump: asyncio.Task[None] | None = None
        if request.with_body and not downstream.body_read:
            begun = downstream.take_body()
            if request.chunked and begun:
                begun = b"".join(as_chunk([begun]))
            connection.send(request.head + begun, head_only=request.head_only)
            pump = asyncio.create_task(self._send_body(downstream, request, connection))
        else:
            body = downstream.take_body() if request.with_body else b""
            if request.chunked:
                body = one_chunk(body)
            connection.send(request.head + body, head_only=request.head_only)
            connection.expect_answer(self._pool.answer_timeout)
        return await self._answer(downstream, connection, pump)

    async def _answer(
        self,
        downstream: Downstream,
        connection: Connection,
        pump: asyncio.Task[None] | None = None,
    ) -> Exchange:
        try:
            while (answer := await connection.answering.next_head()).interim:
                downstream.interim(answer)
        except BaseException:
            downstream.upstream = None
            connection.abort()
            if pump is not None:
                pump.cancel()
            raise
        seconds = monotonic() - connection.asked
        return Exchange(downstream, self._pool, connection, answer, pump=pump, seconds=seconds)

    async def _send_body(
        self, downstream: Downstream, request: Outgoing, connection: Connection
    ) -> None:
        """Hand the request's body on at the pace of the slower side.

        Who reads the answer gets what is wrong with the body or its sender.
        """
        try:
            while pieces := await downstream.read_body():
                connection.write(as_chunk(pieces) if request.chunked else pieces)
                async with asyncio.timeout(self._pool.answer_timeout):
                    await connection.drain()
            if request.chunked:
                connection.write([one_chunk(b"")])
            connection.expect_answer(self._pool.answer_timeout)
        except TimeoutError:
            self._pool.time_out(connection, "Upstream stopped reading the body")
        except FramingError as error:
            connection.abort(error)
        except DownstreamGoneError:
            why = "The caller left while its body was being sent"
            connection.abort(DownstreamGoneError(why))
