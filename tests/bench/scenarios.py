"""What is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tests.bench.origin import LARGE, ROWS, SMALL

INVOCATION: Final = "/invocations/inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
OLD_CALL: Final = f"{INVOCATION}?mode=kill"
NEW_CALL: Final = f"{INVOCATION}/kill"
_QUERY: Final = '{"query":"select id, status from sys_invocation where status = \'running\'"}'


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and the answer that there must be to it."""

    method: str
    target: str
    status: int
    answer: bytes = b""
    body: str = ""


@dataclass(frozen=True, slots=True)
class Calls:
    """One call again and again, over as many connections as there are clients."""

    name: str
    title: str
    call: Call
    clients: int = 32


@dataclass(frozen=True, slots=True)
class Stream:
    """One long body on one connection."""

    name: str
    title: str
    up: bool
    chunked: bool


_GET: Final = Call("GET", "/services", 200, SMALL)

CALLS: Final = (
    Calls("get", "Small GET", _GET),
    Calls("post", "POST with a body", Call("POST", "/query", 200, ROWS, _QUERY)),
    Calls("delete", "Old DELETE, translated", Call("DELETE", OLD_CALL, 202)),
    Calls("large", "Answer of 64 KiB", Call("GET", "/services/large", 200, LARGE)),
)
# With ``get`` above these are what ``clients`` stands for.
CLIENTS: Final = tuple(
    Calls(f"get-{clients}", "Small GET", _GET, clients) for clients in (1, 8, 128, 512)
)
STREAMS: Final = (
    Stream("down", "Streamed down, with a length", up=False, chunked=False),
    Stream("down-chunked", "Streamed down, in chunks", up=False, chunked=True),
    Stream("up", "Streamed up, with a length", up=True, chunked=False),
    Stream("up-chunked", "Streamed up, in chunks", up=True, chunked=True),
)
