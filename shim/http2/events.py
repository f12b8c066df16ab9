"""What comes over a connection that speaks HTTP/2, and what ends it."""

from __future__ import annotations

from typing import NamedTuple

import h2.errors

from shim.http1.grammar import FramingError
from shim.http2.requests import Pair

Code = h2.errors.ErrorCodes


class BrokenError(FramingError):
    """What ends the connection (RFC 9113 section 5.4.1), with its ``code``.

    ``status`` is what a request would be told.
    """

    def __init__(self, status: int, message: str, code: int) -> None:
        super().__init__(status, message)
        self.code = code


class FloodError(BrokenError):
    """Too much of what costs us more than its sender."""

    def __init__(self, what: str) -> None:
        super().__init__(429, f"Too many {what} on one connection", Code.ENHANCE_YOUR_CALM)


class Opened(NamedTuple):
    """A request's head has come; ``ended`` says that it has no body."""

    stream: int
    pairs: list[Pair]
    ended: bool


class Content(NamedTuple):
    """A part of a body has come, maybe none, maybe the last."""

    stream: int
    data: bytes
    ended: bool


class Trailers(NamedTuple):
    """A body has ended with trailers."""

    stream: int
    pairs: list[Pair]


class Reset(NamedTuple):
    """A stream is over: its caller does not want it any more, or has broken its rules."""

    stream: int


Event = Opened | Content | Trailers | Reset
