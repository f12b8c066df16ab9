"""What aiohttp's low-level server asks of a parser, of a request and of a response.

Little of it is documented: ``tests/proxy/test_seams.py`` fails where a later aiohttp asks for more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Generic, TypeVar

from aiohttp import web

from shim.http1.grammar import FramingError
from shim.proxy.incoming import Incoming

_C = TypeVar("_C")
Message = Incoming | FramingError
"""What the parser hands on: a request, or what is wrong with what came in place of one."""


class Sent(web.StreamResponse):
    """Tells aiohttp that the answer has been sent, and whether the connection persists."""

    def __init__(self, *, persists: bool) -> None:
        super().__init__()
        self._persists = persists

    @property
    def keep_alive(self) -> bool:
        """Whether another request may follow."""
        return self._persists

    async def prepare(self, request: web.BaseRequest) -> None:
        """Do nothing: the head has been sent."""

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: the body has been sent."""


PERSISTS: Final = Sent(persists=True)
CLOSES: Final = Sent(persists=False)


class Parser:
    """Stands where aiohttp has its parser: hands on what the connection reads."""

    def __init__(self, read: Callable[[bytes], list[tuple[Message, Any]]]) -> None:
        self._read = read

    def feed_data(self, data: bytes) -> tuple[list[tuple[Message, Any]], bool, bytes]:
        """Return the messages that ``data`` completes; protocols are never switched."""
        return self._read(data), False, b""

    def message_consumed(self) -> None:
        """Take note that a message was taken off the queue, which never holds another."""


class Taken(Generic[_C]):
    """A message that aiohttp has taken off its queue, with what that asks of a request."""

    def __init__(self, message: Message, connection: _C) -> None:
        self.message = message
        self.connection = connection
        self._task: object = None

    def _finish(self) -> None:
        """Take note that the handler is done."""

    def _cancel(self, exc: BaseException) -> None:
        """Take note that the caller has gone: the connection has said so itself."""
