"""Asking: with wrk (h2load over HTTP/2) where it is many at once, else with a socket of our own."""

from __future__ import annotations

import contextlib
import json
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Final

from tests.bench.origin import MIB
from tests.bench.programs import Failed
from tests.bench.scenarios import Call, Calls, Stream

_TIMEOUT: Final = 30.0
_BUFFER: Final = 256 * 1024
_WARM: Final = 3
_TURN: Final = 25
_CHUNK: Final = b"x" * (64 * 1024)

# `done` is called once at the end, and no function per request where all are the same: wrk builds
# the request once.
_SCRIPT: Final = """
wrk.method = {method}
wrk.body = {body}
{more}
function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{{"requests": %d, "us": %d, "p50_us": %d, "p99_us": %d, "status": %d, "other": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""
_TRACED: Final = """
local number = 0
function request()
  number = number + 1
  wrk.headers["traceparent"] = string.format("00-%032x-00f067aa0ba902b7-01", number)
  return wrk.format()
end
"""


@dataclass(frozen=True, slots=True)
class Load:
    """What was done, and how long it took."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Latency:
    """Of calls one after another, in ms."""

    p50_ms: float
    p99_ms: float


@contextlib.contextmanager
def wrk(port: int, calls: Calls, seconds: int, folder: Path) -> Iterator[Callable[[], Load]]:
    """Have wrk ask; what is yielded waits for its end."""
    script = folder / "wrk.lua"
    script.write_text(lua(calls.call))
    command = ["wrk", "-t1", f"-c{calls.clients}", f"-d{seconds}s", "--timeout", "10s"]
    command += ["-s", str(script), f"http://127.0.0.1:{port}{calls.call.target}"]
    with _asking(command, seconds) as said:
        yield lambda: parse(said())


@contextlib.contextmanager
def h2load(port: int, calls: Calls, seconds: int, folder: Path) -> Iterator[Callable[[], Load]]:
    """Have h2load ask, over HTTP/2; what is yielded waits for its end."""
    log = folder / "h2load.log"
    log.unlink(missing_ok=True)
    connections = calls.clients // calls.streams
    command = ["h2load", "-t1", f"-c{connections}", f"-m{calls.streams}", f"-D{seconds}"]
    command += [f"--log-file={log}", f"--header=:method: {calls.call.method}"]
    command += [f"http://127.0.0.1:{port}{calls.call.target}"]
    with _asking(command, seconds) as said:

        def end() -> Load:
            said()
            return parse_log(log.read_text(), calls.call.status, seconds)

        yield end


@contextlib.contextmanager
def _asking(command: list[str], seconds: int) -> Iterator[Callable[[], str]]:
    """Run what asks for so many seconds; what is yielded waits for what it says."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )

    def end() -> str:
        said, _ = process.communicate(timeout=seconds + 60)
        if process.returncode != 0:
            raise Failed(f"{command[0]} ended with {process.returncode}: {said}")
        return said

    with process:
        try:
            yield end
        finally:
            process.kill()


def lua(call: Call) -> str:
    more = 'wrk.headers["content-type"] = "application/json"' if call.body else ""
    if call.traced:
        more += _TRACED
    body = json.dumps(call.body) if call.body else "nil"
    return _SCRIPT.format(method=json.dumps(call.method), body=body, more=more)


def parse(said: str) -> Load:
    """Take the last line of what wrk says: ours."""
    try:
        found = json.loads(said.strip().splitlines()[-1])
        requests, seconds = int(found["requests"]), found["us"] / 1e6
        wrong, failed = found["status"], found["other"]
    except (ValueError, LookupError, TypeError) as error:
        raise Failed(f"wrk said something else than its figures: {said}") from error
    if wrong or failed or not requests:
        raise Failed(f"{requests} requests, {wrong} answered wrongly, {failed} not at all")
    return Load(requests, seconds, found["p50_us"] / 1000, found["p99_us"] / 1000)


def parse_log(log: str, status: int, seconds: float) -> Load:
    """Take the lines of h2load's log: when, status, and µs, with tabs between them."""
    try:
        lines = [line.split("\t") for line in log.splitlines()]
        wrong = sum(int(line[1]) != status for line in lines)
        took = sorted(int(line[2]) for line in lines)
    except (ValueError, LookupError) as error:
        raise Failed(f"h2load's log has something else than its figures: {log[:200]}") from error
    if wrong or not took:
        raise Failed(f"{len(took)} requests, {wrong} answered wrongly")
    found = latency([one / 1000 for one in took])
    return Load(len(took), seconds, found.p50_ms, found.p99_ms)


def once(port: int, call: Call) -> tuple[int, bytes]:
    """Return status and body of one answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    headers = {"Content-Type": "application/json"} if call.body else {}
    try:
        connection.request(call.method, call.target, call.body.encode() or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def stream(port: int, what: Stream, size: int) -> float:
    """Move ``size`` bytes; return the seconds it took."""
    connection = HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT)
    begun = time.perf_counter()
    try:
        if what.up:
            framing = {"Content-Length": str(size)}
            if what.chunked:
                framing = {"Transfer-Encoding": "chunked"}
            connection.request("POST", "/up", _pieces(size), framing, encode_chunked=what.chunked)
        else:
            connection.request("GET", f"/{what.name}/{size}")
        answer = connection.getresponse()
        if answer.status != 200:
            raise Failed(f"{what.name}: {answer.status}")
        if what.up:
            moved = int(answer.read())
            whole = moved >= size if what.chunked else moved == size
        else:
            buffer, moved = bytearray(MIB), 0
            while got := answer.readinto(buffer):
                moved += got
            whole = moved == size
    finally:
        connection.close()
    if not whole:
        raise Failed(f"{what.name}: {moved} of {size} bytes")
    return time.perf_counter() - begun


def _pieces(size: int) -> Iterator[bytes]:
    for _ in range(size // len(_CHUNK)):
        yield _CHUNK


class OneAfterAnother:
    """A connection on which each call waits for the answer before it."""

    def __init__(self, port: int, call: Call) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._call = call
        self._request = (
            f"{call.method} {call.target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
            "User-Agent: restate-cli/1.4.0 linux-x86_64\r\n\r\n"
        ).encode()

    def ask(self) -> float:
        """Return ms."""
        begun = time.perf_counter_ns()
        self._socket.sendall(self._request)
        data = self._socket.recv(_BUFFER)
        while not whole(data):
            more = self._socket.recv(_BUFFER)
            if not more:
                raise Failed(f"{self._call.method} {self._call.target}: closed after {data!r}")
            data += more
        took = time.perf_counter_ns() - begun
        if int(data[9:12]) != self._call.status:
            raise Failed(f"{self._call.method} {self._call.target}: {data[:200]!r}")
        return took / 1e6

    def close(self) -> None:
        self._socket.close()


def whole(data: bytes) -> bool:
    """Tell whether an answer that has a length is all there."""
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, after = head.lower().partition(b"\r\ncontent-length:")
    return not found or len(body) >= int(after.partition(b"\r\n")[0])


def one_after_another(calls: Mapping[str, tuple[int, Call]], times: int) -> dict[str, Latency]:
    """Go round the calls, some of each at a time, so that all see the same minutes."""
    open_ones: dict[str, OneAfterAnother] = {}
    try:
        for name, (port, call) in calls.items():
            open_ones[name] = OneAfterAnother(port, call)
        took: dict[str, list[float]] = {name: [] for name in calls}
        while any(len(found) < times for found in took.values()):
            for name, connection in open_ones.items():
                for _ in range(_WARM):  # the others have had the caches
                    connection.ask()
                took[name] += [connection.ask() for _ in range(_TURN)]
    finally:
        for connection in open_ones.values():
            connection.close()
    return {name: latency(found) for name, found in took.items()}


def latency(found: list[float]) -> Latency:
    ordered = sorted(found)
    return Latency(statistics.median(ordered), ordered[len(ordered) * 99 // 100])
