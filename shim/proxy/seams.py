"""What aiohttp's low-level server asks of a parser, of a request and of a response.

Little of it is documented: ``tests/proxy/test_seams.py`` fails where a later aiohttp asks for more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from shim.proxy.incoming import Incoming


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

    def __init__(self, read: Callable[[bytes], list[tuple[Incoming, Any]]]) -> None:
        self._read = read

    def feed_data(self, data: bytes) -> tuple[list[tuple[Incoming, Any]], bool, bytes]:
        """Return the messages that ``data`` completes; protocols are never switched."""
        return self._read(data), False, b""

    def message_consumed(self) -> None:
        """Take note that a message was taken off the queue, which never holds another."""


class Request:
    """What aiohttp asks of a request that it takes off its queue."""

    def __init__(self) -> None:
        self._task: object = None

    def _finish(self) -> None:
        """Take note that the handler is done."""

    def _cancel(self, exc: BaseException) -> None:
        """Take note that the caller has gone: the connection has said so itself."""
