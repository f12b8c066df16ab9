"""The shim as people run it: a process, its flags, its stdout and its signals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.paths import ROOT

PROGRAM = [sys.executable, "-m", "shim"]
SERVE = [*PROGRAM, "serve"]
USE = "deprecated_route_used"

Event = dict[str, Any]


def environment(**more: str) -> dict[str, str]:
    """The caller's environment without settings of the shim, and then `more`."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SHIM_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


def open_files(pid: int) -> int:
    """How many descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def restate_shim(
    *words: str, timeout: float = 30.0, **env: str
) -> subprocess.CompletedProcess[str]:
    """Run a command that ends by itself: `restate_shim("check", "--ops", url)`."""
    return subprocess.run(
        [*PROGRAM, *words],
        capture_output=True,
        text=True,
        timeout=timeout,
        env=environment(**env),
        cwd=ROOT,
        check=False,
        stdin=subprocess.DEVNULL,
    )


class Shim:
    """A running shim; `proxy` and `ops` are the base URLs it said it listens on.

    `within` is a command that runs it, as `nice` does.
    `read_stdout=False` reads stdout up to the line `listening` and then no more.  Leaving the
    `with` ends it in order.
    """

    def __init__(
        self,
        *arguments: str,
        upstream: str,
        listen: str = "127.0.0.1:0",
        read_stdout: bool = True,
        within: Sequence[str] = (),
    ) -> None:
        command = [
            *within,
            *SERVE,
            "--upstream",
            upstream,
            "--listen",
            listen,
            "--ops-listen",
            "127.0.0.1:0",
            "--ledger",
            "memory",
            *arguments,
        ]
        self.events: list[Event] = []
        self.lines: list[bytes] = []
        self._arrived = threading.Condition()
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            env=environment(),
            bufsize=0,
        )
        self.stderr = bytearray()
        self._threads = [threading.Thread(target=self._read_stderr, daemon=True)]
        if read_stdout:
            self._threads.append(threading.Thread(target=self._read_stdout, daemon=True))
        else:
            self._read_first_line()
        for thread in self._threads:
            thread.start()
        try:
            ready = self.event("listening", within=20)
        except AssertionError:
            self.stop()
            raise
        self.proxy: str = ready["proxy"].rstrip("/")
        self.ops: str = ready["ops"].rstrip("/")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.terminate()
            self.wait(20)
        finally:
            self.stop()

    def _take(self, line: bytes) -> None:
        with self._arrived:
            self.lines.append(line)
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    self.events.append(event)
            self._arrived.notify_all()

    def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        pending = b""
        with contextlib.suppress(ValueError, OSError):
            while data := os.read(self.process.stdout.fileno(), 65536):
                *lines, pending = (pending + data).split(b"\n")
                for line in lines:
                    self._take(line)

    def _read_first_line(self) -> None:
        """Up to the line `listening`, byte by byte so as to read no further."""
        assert self.process.stdout is not None
        line = bytearray()
        while byte := os.read(self.process.stdout.fileno(), 1):
            line += byte
            if byte == b"\n":
                self._take(bytes(line))
                if b'"listening"' in line:
                    return
                line.clear()

    def resume_stdout(self) -> None:
        """Read on after `read_stdout=False`."""
        thread = threading.Thread(target=self._read_stdout, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        with contextlib.suppress(ValueError, OSError):
            while data := os.read(self.process.stderr.fileno(), 65536):
                self.stderr += data

    def event(
        self, name: str, within: float = 2.0, where: Callable[[Event], bool] = lambda _: True
    ) -> Event:
        """The first event `name` for which `where` holds, waiting for it."""
        until = time.monotonic() + within
        with self._arrived:
            while True:
                for event in self.events:
                    if event.get("event") == name and where(event):
                        return event
                left = until - time.monotonic()
                died = self.process.poll() is not None
                if left <= 0 or (died and not self._threads[-1].is_alive()):
                    said = b"\n".join(self.lines[-20:]).decode("utf-8", "replace")
                    raise AssertionError(
                        f"no event {name!r} within {within} s (exit {self.process.poll()})\n"
                        f"stdout: {said}\nstderr: {self.stderr.decode('utf-8', 'replace')}"
                    )
                self._arrived.wait(min(left, 0.1))

    def use(self, invocation_id: str, within: float = 2.0) -> Event:
        """The line `deprecated_route_used` for this invocation."""
        return self.event(USE, within, lambda event: event["invocation_id"] == invocation_id)

    @property
    def uses(self) -> list[Event]:
        """Every line `deprecated_route_used` so far."""
        with self._arrived:
            return [event for event in self.events if event.get("event") == USE]

    def uses_by(self, user_agent: str, count: int = 1, within: float = 5.0) -> list[Event]:
        """The uses by one caller, once there are so many, or as many as came in that time."""

        def found() -> list[Event]:
            return [
                event
                for event in self.events
                if event.get("event") == USE and event["user_agent"] == user_agent
            ]

        with self._arrived:
            self._arrived.wait_for(lambda: len(found()) >= count, within)
            return found()

    @property
    def stdout(self) -> bytes:
        with self._arrived:
            return b"\n".join(self.lines)

    def memory(self) -> int:
        """Resident bytes now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def descriptors(self) -> int:
        """How many it has open."""
        return open_files(self.process.pid)

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def wait(self, within: float) -> int:
        """The exit status, once it has ended."""
        return self.process.wait(within)

    def stop(self) -> None:
        """End it now, whatever state it is in."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(2)
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
