"""Do both lanes send the same bytes?  ``python -m tests.proxy.agreement [PAIRS] [SEED]`` says.

A request and its answer are generated, mutated, and given to the relay lane.  Whatever it takes is
given to the handler's lane too, and the bytes that went up and down are compared.  Transports stand
in for sockets; everything between them is what serves callers.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import uvloop
from prometheus_client import CollectorRegistry

from shim.http1.plain import plain_answer
from shim.proxy.forwarding import Forwarder
from shim.proxy.front import Front, FrontServer, Turn
from shim.proxy.handling import Proxy
from shim.proxy.relay import RelayLane
from shim.record.metrics import Metrics
from shim.record.recorder import Recorder
from shim.upstream.connection import Connection
from shim.upstream.health import UpstreamHealth
from shim.upstream.pool import Pool


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closed:
            raise RuntimeError("the handler is closed")
        self.sent += data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    abort = close

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading


@dataclass
class Lanes:
    """A proxy without sockets: one caller's connection and one to upstream, new for each pair."""

    loop: asyncio.AbstractEventLoop
    pool: Pool = field(init=False)
    lane: RelayLane = field(init=False)
    server: FrontServer = field(init=False)
    max_body: int | None = 5000
    crashes: list[BaseException] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pool = Pool([], tls=None, connect_timeout=5, answer_timeout=600, loop=self.loop)
        nobody = cast("Any", None)
        health = UpstreamHealth(self.pool, nobody)
        recorder = Recorder(
            nobody,
            nobody,
            Metrics(CollectorRegistry()),
            clock=lambda: datetime.now(UTC),
            new_id=str,
            instance="x",
        )
        self.lane = RelayLane(self.pool, health, recorder, scheme=b"http", max_body=self.max_body)
        forwarder = Forwarder(
            self.pool,
            health,
            recorder,
            trusted_proxies=(),
            scheme=b"http",
            default_host=b"upstream",
        )
        proxy = Proxy(
            forwarder,
            nobody,
            recorder,
            nobody,
            nobody,
            caller_sources=(),
            trusted_proxies=(),
        )
        self.server = FrontServer(
            proxy.handle,
            self.lane,
            unreadable=lambda *_: None,
            crashed=self.crashes.append,
            stall_timeout=600,
            keepalive_timeout=600,
        )

    async def connect(self) -> tuple[Front, Wire, Connection, Wire]:
        """A caller, and an idle connection to upstream."""
        front, connection = self.server(), Connection(self.loop, self.pool)
        down, up = Wire(), Wire()
        front.connection_made(down)
        connection.connection_made(up)
        self.pool.close()
        self.pool.keep(connection, 0.0)
        # aiohttp begins to wait for a request.
        await asyncio.sleep(0)
        return front, down, connection, up

    async def relay(self, request: bytes, answer: bytes) -> tuple[bytes, bytes] | None:
        """What the relay lane sends up and down; ``None`` where it leaves the pair to the other."""
        self.lane.open = True
        front, down, connection, up = await self.connect()
        try:
            front.data_received(request)
            if front.turn is not Turn.RELAY or plain_answer(answer) is None:
                return None
            sent = bytes(up.sent)
            connection.data_received(answer)
            return sent, bytes(down.sent)
        finally:
            leave(front, down, connection)

    async def handle(self, request: bytes, *answer: bytes) -> tuple[bytes, bytes]:
        """What the handler's lane sends up and down."""
        self.lane.open = False
        front, down, connection, up = await self.connect()
        # What the relay lane left to aiohttp may have met the parts that are not there.
        self.crashes.clear()
        front.data_received(request)
        await until(lambda: bool(up.sent))
        sent = bytes(up.sent)
        for piece in answer:
            connection.data_received(piece)
        await until(lambda: front.turn in (Turn.IDLE, Turn.OVER))
        leave(front, down, connection)
        assert not self.crashes, (request, self.crashes)
        return sent, bytes(down.sent)


def leave(front: Front, down: Wire, connection: Connection) -> None:
    """End both connections, as transports do: they are closing before they say so."""
    down.close()
    front.connection_lost(None)
    connection.connection_lost(None)


async def until(holds: Any) -> None:
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("the handler's lane is stuck")


METHODS = (
    [b"GET"] * 10 + [b"POST"] * 8 + [b"PATCH", b"PUT", b"DELETE", b"OPTIONS", b"HEAD", b"BREW"]
)
TARGETS = [
    *(b"/", b"/services", b"/query", b"/ui/", b"/deployments/dp_1?force=true", b"//x", b"/%2F"),
    *(b"/version", b"/openapi", b"/services/a/state", b"/subscriptions?sink=service://a/b"),
    *(b"/v2/invocations/inv_1", b"/invocations/inv_1?mode=kill", b"/\xc3\xbc", b"*", b"/a#b"),
    *(b"http://a/b", b"/health", b"/?q=\x27\x22<>", b"/internal/invocations_batch_operations/kill"),
]
FIELDS = [
    *(
        b"User-Agent: curl/8.5.0",
        b"Accept: */*",
        b"accept-encoding: gzip, br",
        b"Connection: keep-alive",
    ),
    b"Cookie: a=b; c",
    *(
        b"X-Empty:",
        b"Connection: keep-alive",
        b"Connection: close",
        b"Connection: x-a",
        b"TE: trailers",
    ),
    *(b"X-A: 1", b"x-a: 2", b"X-A:1", b"X-A: 1 ", b"X-A:  1", b"X-Forwarded-For: 203.0.113.9"),
    *(b"X-Forwarded-Proto: https", b"X-Forwarded-Host: b", b"Expect: 100-continue"),
    *(b"Upgrade: h2c", b"Trailer: x", b"Keep-Alive: 5", b"Proxy-Connection: close"),
    *(b"Authorization: Bearer x.y.z", b"Via: 1.0 other", b"Host: b"),
    *(b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"X-\xff: \xff"),
    *(b"Content-Length: 3", b"content-length: 0", b"Transfer-Encoding: chunked", b" folded"),
]
ANSWER_FIELDS = [
    *(b"content-type: application/json", b"vary: accept-encoding", b"date: now", b"X-Empty:"),
    *(b"Connection: keep-alive", b"connection: close", b"Keep-Alive: timeout=5", b"Trailer: x"),
    *(b"X-A:1", b"X-A: 1 ", b"x-a: 2", b"Upgrade: h2c", b"Via: 1.1 other", b"set-cookie: a=b"),
    *(b"Content-Length: 1", b"Transfer-Encoding: gzip", b"Proxy-Connection: close", b"TE: x"),
]
STATUSES = [b"200 OK"] * 8 + [
    *(b"202 Accepted", b"404 Not Found", b"409 Conflict", b"204 No Content", b"304 Not Modified"),
    *(b"100 Continue", b"101 Switching", b"103 Early", b"205 Reset", b"500 ", b"503", b"299 \xff"),
]
NOISE = [
    b"\r",
    b"\n",
    b"\r\n",
    b" ",
    b"\t",
    b":",
    b"\x00",
    b"\x7f",
    b"\xff",
    b",",
    b";",
    b"0",
    b"a",
]


class Maker:
    """Makes requests and answers, most of them good."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def request(self) -> bytes:
        chance = self.random
        lines = chance.choices(
            FIELDS[:4] if chance.random() < 0.6 else FIELDS, k=chance.randrange(5)
        )
        lines.insert(chance.randrange(len(lines) + 1), chance.choice([b"Host: a:9070", b"hOsT: b"]))
        body = b""
        if chance.random() < 0.3:
            body = chance.randbytes(chance.choice([0, 1, 5, 40, 4999, 5000, 5001]))
            lines.insert(chance.randrange(len(lines) + 1), b"Content-Length: %d" % len(body))
        version = b"HTTP/1.1" if chance.random() < 0.95 else b"HTTP/1.0"
        line = b" ".join((chance.choice(METHODS), chance.choice(TARGETS), version))
        return self.mutated(b"\r\n".join([line, *lines, b"", b""]) + body)

    def answer(self) -> bytes:
        chance = self.random
        some = ANSWER_FIELDS[:3] if chance.random() < 0.7 else ANSWER_FIELDS
        lines = chance.choices(some, k=chance.randrange(4))
        body = chance.randbytes(chance.choice([0, 1, 10, 15, 16, 300]))
        framing = chance.random()
        if framing < 0.5:
            said = b"content-length: %d" % len(body)
        elif framing < 0.95:
            said = b"transfer-encoding: chunked"
            size = chance.choice([b"%x", b"%X", b"0%x"]) % len(body)
            body = (size + b"\r\n" + body + b"\r\n" if body else b"") + b"0\r\n\r\n"
        else:
            said = b"x-b: 1"
        lines.insert(chance.randrange(len(lines) + 1), said)
        version = b"HTTP/1.1 " if chance.random() < 0.97 else b"HTTP/1.0 "
        head = b"\r\n".join([version + chance.choice(STATUSES), *lines, b"", b""])
        return self.mutated(head + body)

    def mutated(self, data: bytes) -> bytes:
        """Most messages as they are, some with one or two changes."""
        chance = self.random
        while chance.random() < 0.2:
            at = chance.randrange(len(data) + 1)
            kind = chance.randrange(4)
            if kind == 0:
                data = data[:at] + chance.choice(NOISE) + data[at:]
            elif kind == 1:
                data = data[:at] + data[at + chance.randrange(1, 4) :]
            elif kind == 2:
                data = data[:at] + data[at : at + 1].swapcase() + data[at + 1 :]
            else:
                lines = data.split(b"\r\n")
                lines.insert(chance.randrange(len(lines)), chance.choice(lines))
                data = b"\r\n".join(lines)
        return data


async def agree(pairs: int, seed: int) -> Counter[str]:
    """Compare the lanes over so many pairs; count what the relay lane took.

    Raises ``AssertionError`` with the messages over which they disagree.
    """
    lanes, maker = Lanes(asyncio.get_running_loop()), Maker(seed)
    counts: Counter[str] = Counter()
    for number in range(pairs):
        request, answer = maker.request(), maker.answer()
        relayed = await lanes.relay(request, answer)
        counts["taken" if relayed else "left"] += 1
        if relayed is None:
            continue
        handled = await lanes.handle(request, answer)
        assert relayed == handled, (number, seed, request, answer, relayed, handled)
        if b"chunked" not in answer.lower():
            # In two reads it is built anew, from its fields.
            cut = maker.random.randrange(len(answer))
            handled = await lanes.handle(request, answer[:cut], answer[cut:])
            assert relayed == handled, (number, seed, request, answer, relayed, handled)
            counts["built anew"] += 1
    return counts


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    counts = uvloop.run(agree(pairs, seed))
    print(f"{pairs:,} pairs (seed {seed}): {dict(counts)}; the lanes agree")


if __name__ == "__main__":
    main()
