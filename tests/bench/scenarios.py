"""What is asked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from tests.bench.origin import LARGE, ROWS, SMALL

INVOCATION: Final = "/invocations/inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz"
OLD_CALL: Final = f"{INVOCATION}?mode=kill"
NEW_CALL: Final = f"{INVOCATION}/kill"
_QUERY: Final = '{"query":"select id, status from sys_invocation where status = \'running\'"}'


@dataclass(frozen=True, slots=True)
class Call:
    """A request, and the answer that there must be to it.

    One that is ``traced`` says another ``traceparent`` each time, so that no two are the same.
    """

    method: str
    target: str
    status: int
    answer: bytes = b""
    body: str = ""
    traced: bool = False


@dataclass(frozen=True, slots=True)
class Calls:
    """One call again and again, over as many connections as there are clients.

    With ``streams`` it is HTTP/2, and each connection has so many of the clients.
    """

    name: str
    title: str
    call: Call
    clients: int = 32
    streams: int = 0


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
    Calls("traced", "Small GET, each with a trace of its own", replace(_GET, traced=True)),
    Calls("delete", "Old DELETE, translated", Call("DELETE", OLD_CALL, 202)),
    Calls("large", "Answer of 64 KiB", Call("GET", "/services/large", 200, LARGE)),
)
# With ``get`` above these are what ``clients`` stands for.
CLIENTS: Final = tuple(
    Calls(f"get-{clients}", "Small GET", _GET, clients) for clients in (1, 8, 128, 512)
)
# Of the shim alone: the others are set up for HTTP/1.1, which nearly all callers speak.
HTTP2: Final = (
    Calls("h2-get", "Small GET over HTTP/2, 8 streams on each connection", _GET, streams=8),
    Calls(
        "h2-delete",
        "Old DELETE over HTTP/2, translated",
        Call("DELETE", OLD_CALL, 202),
        streams=8,
    ),
)
STREAMS: Final = (
    Stream("down", "Streamed down, with a length", up=False, chunked=False),
    Stream("down-chunked", "Streamed down, in chunks", up=False, chunked=True),
    Stream("up", "Streamed up, with a length", up=True, chunked=False),
    Stream("up-chunked", "Streamed up, in chunks", up=True, chunked=True),
)
