"""CPU time that the shim takes per request, passed through and translated, beside its peers.

``python tests/bench/proxy.py [SECONDS]`` starts an origin that answers at once, a proxy before it,
and ``wrk`` with 32 connections.  It prints and asserts nothing: machines differ, and so the figures
to compare are the ratios within one run.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

import uvloop
from peers import Peer, peers

ANSWER: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 20\r\n"
    b'date: Mon, 23 Nov 2026 12:00:00 GMT\r\n\r\n{"name": "Counter1"}'
)
CASES: Final = {
    "passed through": ("GET", "/services"),
    "translated": ("DELETE", "/invocations/inv_1gdJBtdVEcM942bjcDmb1c1khoaJe11Hbz?mode=kill"),
}
TICKS: Final = os.sysconf("SC_CLK_TCK")


class Origin(asyncio.Protocol):
    """Answers every head it sees."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER * data.count(b"\r\n\r\n"))  # type: ignore[attr-defined]  # uvloop's own class


def run_origin(port: Connection) -> None:
    async def serve() -> None:
        server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", 0)
        port.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(serve())


@contextmanager
def origin() -> Iterator[int]:
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.Process(target=run_origin, args=(theirs,), daemon=True)
    process.start()
    try:
        yield ours.recv()
    finally:
        process.terminate()
        process.join()


@contextmanager
def shim(upstream: int, folder: Path, ledger: str) -> Iterator[tuple[int, str]]:
    """Yield the shim's process id and base URL; its log goes to a file, as under a supervisor."""
    log = folder / "log"
    command = [sys.executable, "-m", "shim", "serve", "--ledger", ledger]
    command += ["--upstream", f"http://127.0.0.1:{upstream}"]
    command += ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out)
    try:
        while not (first := log.read_bytes().partition(b"\n"))[1]:
            if process.poll() is not None:
                raise SystemExit("the shim ended at its start")
        events = [json.loads(first[0])]
        while events[-1]["event"] != "listening":
            events = [json.loads(line) for line in log.read_bytes().split(b"\n")[:-1]]
        yield process.pid, events[-1]["proxy"]
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def measure(
    pid: int, url: str, method: str, target: str, seconds: int, folder: Path
) -> tuple[float, float]:
    """Return the CPU time per request in µs, and the requests a second."""
    script = folder / "method.lua"
    script.write_text(f'wrk.method = "{method}"\n')
    command = ["wrk", "-t1", "-c32", f"-d{seconds}s", "-s", str(script), url + target]
    before = cpu_seconds(pid)
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = cpu_seconds(pid) - before
    words = said.split()
    requests = int(words[words.index("requests") - 1])
    rate = float(words[words.index("Requests/sec:") + 1])
    if "Non-2xx" in said:
        raise SystemExit(f"{method} {target}: not all answers are 2xx")
    return used / requests * 1e6, rate


def main(seconds: int = 5) -> None:
    if shutil.which("wrk") is None:
        raise SystemExit("wrk is missing: apt-get install wrk")
    with tempfile.TemporaryDirectory() as name, origin() as upstream:
        folder = Path(name)
        ledgers = {"shim, ledger on disk": str(folder / "ledger.db"), "shim, in memory": "memory"}
        proxies: dict[str, Peer] = {
            what: partial(shim, ledger=ledger) for what, ledger in ledgers.items()
        }
        ours: dict[str, float] = {}
        for what, proxy in (proxies | peers()).items():
            print(what)
            with proxy(upstream, folder) as (pid, url):
                for case, (method, target) in CASES.items():
                    measure(pid, url, method, target, 1, folder)
                    cpu, rate = measure(pid, url, method, target, seconds, folder)
                    ratio = cpu / ours.setdefault(case, cpu)
                    print(
                        f"  {case:<15}{cpu:6.1f} µs CPU per request (× {ratio:.2f})"
                        f"  {rate:9,.0f} requests/s"
                    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
