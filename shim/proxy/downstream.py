"""What a handler needs of a caller: a head, a body to read, an answer to write.

Besides, what is remembered of its connection, and what upstream does for it, should it leave.
Which version of HTTP the caller speaks, how an answer is framed for it and whether its connection
persists are no concern of a handler's.
"""

from __future__ import annotations

from typing import Protocol

from shim.http1.answers import AnswerHead
from shim.http1.bodies import Piece
from shim.http1.fields import Fields
from shim.http1.grammar import FramingError
from shim.http1.requests import RequestHead, may_be_remembered
from shim.route.caller import Identity
from shim.upstream.connection import Connection


class DownstreamGoneError(ConnectionError):
    """The caller closed its connection, or stopped reading for too long.

    ``status`` is what nginx calls that where a status is asked for.
    """

    status = 499


class Memory:
    """What was made of the fields of a connection's last request: most callers send the same."""

    def __init__(self, fields: Fields = ()) -> None:
        self.fields = fields
        self.identity: Identity | None = None
        self.forwarded: tuple[object, bytes] = (None, b"")

    def of(self, fields: Fields) -> Memory:
        """Return what was made of ``fields``, and forget what was made of others."""
        if fields == self.fields:
            return self
        small = may_be_remembered(fields, sum(len(line) for _, _, line in fields))
        self.fields = fields if small else ()
        self.identity = None
        self.forwarded = (None, b"")
        return self if small else Memory(fields)


class Abortable(Protocol):
    """What can be given up."""

    def abort(self, why: Exception) -> None:
        """Give it up; who waits for it gets ``why``."""


class Downstream(Protocol):
    """One request of a caller's, and the way back to it."""

    head: RequestHead
    memory: Memory
    peer: str
    """The address of the other end, ``unix`` for a Unix socket's."""
    begun: bool
    """Whether any of the final answer has been sent."""
    upstream: Abortable | None
    """What is to be given up, with a :class:`DownstreamGoneError`, when the caller leaves."""
    relayed: Connection | None
    """Where the relay lane has sent the request already; the answer is to be read there."""

    @property
    def fault(self) -> FramingError | None:
        """Why the request is not to be acted upon, as far as what has come of it shows."""

    @property
    def gone(self) -> bool:
        """Whether nothing more can be sent to the caller."""

    @property
    def body_read(self) -> bool:
        """Whether the whole body of the request has come."""

    def take_body(self) -> bytes:
        """Return what has come of the body and has not been read."""

    async def read_body(self) -> list[Piece]:
        """Wait for more of the body; return all that has come, nothing at its end.

        Raises :class:`DownstreamGoneError`, ``FramingError`` if it cannot be framed, and
        ``LimitError`` if the caller stalls or the body is too large.
        """

    def interim(self, answer: AnswerHead) -> None:
        """Send a 1xx answer (RFC 9110 section 15.2) before the final one."""

    async def send(self, answer: AnswerHead, content: bytes, raw: bytes | None = None) -> None:
        """Send a whole answer; raise :class:`DownstreamGoneError`.

        ``raw`` are its bytes where they mean the same on every hop.
        """

    async def begin(self, answer: AnswerHead) -> None:
        """Send the head of an answer whose body follows, piece by piece."""

    async def write(self, pieces: list[Piece]) -> None:
        """Send a part of the body."""

    async def end(self) -> None:
        """End the body."""
