"""Do both lanes send the same bytes?  ``python -m tests.proxy.agreement [PAIRS] [SEED]`` says.

A request and its answer are generated, mutated, and given to the relay lane.  Whatever it takes is
given to the handler's lane too, in other pieces, and what both sides saw is compared: every byte,
and which connections were closed.  That holds for answers that the relay lane leaves to the handler
half-way: interim ones, many chunks, broken ones, or none at all.  Transports stand in for sockets;
everything between them is what serves callers.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, NamedTuple, cast

import uvloop
from prometheus_client import CollectorRegistry

from shim.http1.plain import plain_answer
from shim.http1.section import MAX_SECTION
from shim.proxy.admission import Admission
from shim.proxy.downstream import DownstreamGoneError
from shim.proxy.forwarding import Forwarder
from shim.proxy.front import Front, Turn
from shim.proxy.front_server import FrontServer
from shim.proxy.handling import Proxy
from shim.proxy.patience import Patience
from shim.proxy.relay import RelayLane
from shim.proxy.serving import Serving
from shim.record.incidents import Incidents
from shim.record.metrics import Metrics
from shim.record.recorder import Recorder
from shim.upstream.connection import Connection
from shim.upstream.errors import UpstreamError
from shim.upstream.node import Node
from shim.upstream.pool import Pool
from tests.support.nodes import a_node, quiet


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = bytearray()
        self.closed = self.aborted = False
        self.reading = True
        self.unsent = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.closed:
            raise RuntimeError("the handler is closed")
        self.sent += data

    def get_write_buffer_size(self) -> int:
        return self.unsent

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("192.0.2.1", 1) if name == "peername" else default

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = self.aborted = True

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_reading(self) -> bool:
        return self.reading


class Answer(NamedTuple):
    """How upstream answers."""

    pieces: list[bytes]
    """What each read finds."""
    ends: bool
    """Whether upstream closes the connection behind them; if the answer waits for more, it does."""
    drains: bool
    """Whether the shim is told to end before any of it comes."""


class Seen(NamedTuple):
    """What became of a request."""

    up: bytes
    down: bytes
    down_closed: bool
    up_free: bool
    """Whether another request may take the connection to upstream."""
    counted: int
    """How many requests there have been by what the shim counts, which a probe is none of."""


class Elsewhere:
    """Where requests go that are no business of this test: the relay lane never takes them."""

    def __init__(self) -> None:
        self.counted = 0

    async def serve(self, *_: object) -> None:
        raise DownstreamGoneError

    async def append(self, *_: object) -> None:
        pass

    def count_unreadable(self, _: str) -> None:
        pass

    def carried(self) -> None:
        self.counted += 1


class Watched(Incidents):
    """Keeps what a handler failed with."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.crashes: list[Exception] = []

    def failed(self, error: Exception) -> None:
        if not isinstance(error, UpstreamError):
            self.crashes.append(error)


@dataclass
class Lanes:
    """A proxy without sockets: one caller's connection and one to upstream, new for each pair."""

    loop: asyncio.AbstractEventLoop
    pool: Pool = field(init=False)
    node: Node = field(init=False)
    lane: RelayLane = field(init=False)
    serving: Serving = field(init=False)
    server: FrontServer = field(init=False)
    max_body: int | None = 5000
    upstream_host: bytes | None = None
    incidents: Watched = field(init=False)
    elsewhere: Elsewhere = field(default_factory=Elsewhere)

    def __post_init__(self) -> None:
        self.pool = Pool(
            [],
            tls=None,
            connect_timeout=5,
            answer_timeout=600,
            most=100,
            most_waiting=0,
            loop=self.loop,
        )
        elsewhere = cast("Any", self.elsewhere)
        self.node = a_node(9070)
        metrics = Metrics(CollectorRegistry())
        recorder = Recorder(
            quiet(),
            elsewhere,
            metrics,
            clock=lambda: datetime.now(UTC),
            new_id=str,
            instance="x",
        )
        incidents = self.incidents = Watched(quiet(), elsewhere, metrics, instance="x")
        self.lane = RelayLane(
            self.pool,
            recorder,
            scheme=b"http",
            max_body=self.max_body,
            upstream_host=self.upstream_host,
        )
        forwarder = Forwarder(
            self.pool,
            incidents,
            trusted_proxies=(),
            scheme=b"http",
            default_host=b"upstream",
            upstream_host=self.upstream_host,
        )
        proxy = Proxy(
            forwarder,
            elsewhere,
            recorder,
            incidents,
            elsewhere,
            caller_sources=(),
            trusted_proxies=(),
        )
        self.serving = Serving(
            handle=proxy.handle,
            lane=self.lane,
            incidents=incidents,
            admission=Admission(10, 10),
            most_requests=10,
            head_timeout=600,
            patience=Patience(600, 600, 0),
            keepalive_timeout=600,
        )
        self.server = FrontServer(self.serving)

    async def connect(self) -> tuple[Front, Wire, Connection, Wire]:
        """A caller, and an idle connection to upstream."""
        front, connection = self.server(), Connection(self.loop, self.pool, self.node)
        down, up = Wire(), Wire()
        front.connection_made(down)
        connection.connection_made(up)
        self.pool.close()
        self.pool.keep(connection, 0.0)
        # aiohttp begins to wait for a request.
        await asyncio.sleep(0)
        return front, down, connection, up

    async def relay(self, request: bytes, answer: Answer, before: bytes = b"") -> Seen | None:
        """What both sides see of the relay lane; ``None`` where it leaves the request.

        If the lane takes ``before``, that has come first on both connections: either side
        remembers what it has seen.
        """
        front, down, connection, up = await self.connect()
        self.incidents.crashes.clear()
        try:
            if before:
                front.data_received(before)
                if front.turn is not Turn.RELAY:
                    leave(front, down, connection)
                    await self.counted()
                    front, down, connection, up = await self.connect()
                elif answer.pieces and plain_answer(answer.pieces[0]):
                    connection.data_received(answer.pieces[0])
                else:
                    connection.data_received(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
                # What is used may have closed without anybody's doing, and is tried anew.
                connection.used = False
                up.sent.clear()
                down.sent.clear()
                self.elsewhere.counted = 0
            front.data_received(request)
            if front.turn is not Turn.RELAY:
                return None
            return await self._answered(front, down, connection, up, answer)
        finally:
            leave(front, down, connection)

    async def handle(self, request: bytes, answer: Answer, cut: int) -> Seen:
        """What both sides see of the handler's lane: it takes what comes in two reads."""
        front, down, connection, up = await self.connect()
        self.incidents.crashes.clear()
        front.data_received(request[:cut])
        front.data_received(request[cut:])
        assert front.turn is Turn.HANDLER
        await until(lambda: bool(up.sent))
        try:
            return await self._answered(front, down, connection, up, answer)
        finally:
            leave(front, down, connection)

    async def _answered(
        self, front: Front, down: Wire, connection: Connection, up: Wire, answer: Answer
    ) -> Seen:
        sent = bytes(up.sent)
        self.serving.draining = answer.drains
        for piece in answer.pieces:
            if up.closed:
                break
            connection.data_received(piece)
            # All of it goes down before more comes: in how many chunks is a matter of time alone.
            await came_true(lambda: front.turn in (Turn.IDLE, Turn.OVER), turns=10)
        if up.closed or answer.ends or not await settled(front):
            connection.connection_lost(None)
            assert await settled(front), "the lane waits for what cannot come"
        self.serving.draining = False
        assert not self.incidents.crashes, self.incidents.crashes
        return Seen(sent, bytes(down.sent), down.closed, connection.free, 0)

    async def counted(self) -> int:
        """How many requests came since the last time; a handler may go on for a moment."""
        await came_true(lambda: self.elsewhere.counted > 0, turns=10)
        counted, self.elsewhere.counted = self.elsewhere.counted, 0
        return counted


def leave(front: Front, down: Wire, connection: Connection) -> None:
    """End both connections, as transports do: they are closing before they say so."""
    down.close()
    front.connection_lost(None)
    connection.connection_lost(None)


async def until(holds: Callable[[], bool], turns: int = 1000) -> None:
    assert await came_true(holds, turns), "the handler's lane is stuck"


async def came_true(holds: Callable[[], bool], turns: int) -> bool:
    """Whether it does within so many turns of the loop."""
    for _ in range(turns):
        if holds():
            return True
        await asyncio.sleep(0)
    return holds()


async def settled(front: Front) -> bool:
    """Whether the caller has got all that it will."""
    return await came_true(lambda: front.turn in (Turn.IDLE, Turn.OVER), turns=20)


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
INTERIM = [
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: x-a\r\nX-A: 1\r\n\r\n",
    b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n",
]
NOISE = [
    *(b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b"\x00", b"\x7f", b"\xff", b",", b";", b"0", b"a")
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
        if chance.random() < 0.01:
            # Around the limit of a head.
            lines.append(b"X-Large: " + b"x" * chance.choice([60_000, 65_400, 70_000]))
        body = b""
        if chance.random() < 0.3:
            body = chance.randbytes(chance.choice([0, 1, 5, 40, 4999, 5000, 5001]))
            lines.insert(chance.randrange(len(lines) + 1), b"Content-Length: %d" % len(body))
        version = b"HTTP/1.1" if chance.random() < 0.95 else b"HTTP/1.0"
        line = b" ".join((chance.choice(METHODS), chance.choice(TARGETS), version))
        return self.mutated(b"\r\n".join([line, *lines, b"", b""]) + body)

    def answer(self) -> Answer:
        """Most are as Restate's: whole, in one read, with a length or in one chunk."""
        chance = self.random
        data = self._final()
        if chance.random() < 0.1:
            data = chance.choice(INTERIM) + data
        ends = chance.random() < 0.1
        if chance.random() < 0.1:
            data = data[: chance.randrange(len(data))]
        data = self.mutated(data)
        pieces = [data]
        if chance.random() < 0.3:
            cuts = sorted(chance.randrange(len(data) + 1) for _ in range(chance.randrange(1, 4)))
            pieces = [data[a:b] for a, b in pairwise([0, *cuts, len(data)]) if a < b]
        return Answer([piece for piece in pieces if piece], ends, chance.random() < 0.1)

    def _final(self) -> bytes:
        chance = self.random
        some = ANSWER_FIELDS[:3] if chance.random() < 0.7 else ANSWER_FIELDS
        lines = chance.choices(some, k=chance.randrange(4))
        if chance.random() < 0.01:
            lines.append(b"X-Large: " + b"x" * chance.choice([60_000, 70_000, 250_000, 270_000]))
        body = chance.randbytes(chance.choice([0, 1, 10, 15, 16, 300]))
        framing = chance.random()
        if framing < 0.5:
            said = b"content-length: %d" % len(body)
        elif framing < 0.9:
            said = b"transfer-encoding: chunked"
            most = chance.choice([len(body), len(body), 7]) or 1
            size = chance.choice([b"%x", b"%X", b"0%x", b"%x;a=b"])
            parts = [body[at : at + most] for at in range(0, len(body), most)]
            body = b"".join(size % len(part) + b"\r\n" + part + b"\r\n" for part in parts)
            body += chance.choice([b"0\r\n\r\n"] * 4 + [b"0\r\nX-T: 1\r\n\r\n"])
        else:
            said = b"x-b: 1"
        lines.insert(chance.randrange(len(lines) + 1), said)
        version = b"HTTP/1.1 " if chance.random() < 0.97 else b"HTTP/1.0 "
        head = b"\r\n".join([version + chance.choice(STATUSES), *lines, b"", b""])
        return head + body

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


async def agree(pairs: int, seed: int, *, upstream_host: bytes | None = None) -> Counter[str]:
    """Compare the lanes over so many pairs; count what the relay lane took, and what came of it.

    Raises ``AssertionError`` with the messages over which they disagree.
    """
    lanes = Lanes(asyncio.get_running_loop(), upstream_host=upstream_host)
    maker = Maker(seed)
    counts: Counter[str] = Counter()
    last = b""
    for number in range(pairs):
        request, answer = maker.request(), maker.answer()
        # Nothing, what may have any fields, or the same ones, or is the same.
        _, _, behind = request.partition(b"\r\n")
        before = (b"", last, b"GET /before HTTP/1.1\r\n" + behind, request)[number % 4]
        last = request
        relayed = await lanes.relay(request, answer, before)
        counted = await lanes.counted()
        if relayed is None:
            counts["left"] += 1
            continue
        relayed = relayed._replace(counted=counted)
        handled = await lanes.handle(request, answer, maker.random.randrange(1, len(request)))
        handled = handled._replace(counted=await lanes.counted())
        assert relayed == handled, (number, seed, request, answer, relayed, handled)
        counts.update(kinds(relayed, answer))
    return counts


def kinds(seen: Seen, answer: Answer) -> list[str]:
    """Name what a pair has shown."""
    whole = b"".join(answer.pieces)
    if seen.down == whole:
        found = ["as it came"]
    elif seen.down.startswith(b"HTTP/1.1 502 "):
        found = ["no answer"]
    elif seen.down.startswith((b"HTTP/1.1 100 ", b"HTTP/1.1 102 ", b"HTTP/1.1 103 ")):
        found = ["interim"]
    else:
        found = ["written anew"]
    facts = {
        "in pieces": len(answer.pieces) > 1,
        "while draining": answer.drains,
        "closed": seen.down_closed,
        "large": len(seen.down) > MAX_SECTION,
        "counted": seen.counted == 1,
    }
    return ["taken", *found, *(name for name, holds in facts.items() if holds)]


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(1 << 32)
    counts = uvloop.run(agree(pairs, seed))
    print(f"{pairs:,} pairs (seed {seed}): {dict(counts)}; the lanes agree")


if __name__ == "__main__":
    main()
