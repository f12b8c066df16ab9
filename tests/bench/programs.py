"""Processes: where they run, what they are told, and that they end."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
# Where a program of ours finds this package, and the shim of this tree.
_START_SECONDS: Final = 20.0
_TAIL: Final = 1500


class Failed(Exception):  # noqa: N818 - it is what happened to the run
    """Something did not do what it is measured for; no figure of this run means anything."""


@dataclass(frozen=True, slots=True)
class Cores:
    """One core for the proxy that is measured, another for all that asks and answers."""

    proxy: frozenset[int]
    others: frozenset[int]

    @staticmethod
    def of_this_machine() -> Cores:
        every = sorted(os.sched_getaffinity(0))
        return Cores(frozenset(every[-1:]), frozenset(every[:-1] or every))

    def __str__(self) -> str:
        if self.proxy == self.others:
            return "one core for everything, as the machine has no more: requests/s mean little"
        ours, rest = (", ".join(map(str, sorted(cores))) for cores in (self.proxy, self.others))
        return f"every proxy on core {ours}; origin and load on core {rest}"


def environment(*without: str, **more: str) -> dict[str, str]:
    """The caller's environment without settings of the shim."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("SHIM_") and name not in without
    }
    return kept | more


@contextlib.contextmanager
def on(cores: frozenset[int]) -> Iterator[None]:
    """What is started within runs on these cores; it inherits them from this thread."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def running(
    command: Sequence[str],
    folder: Path,
    *,
    cores: frozenset[int],
    env: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program in ``folder``, its output in the files ``out`` and ``err`` there."""
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err, on(cores):
        # A session of its own: Ctrl-C reaches the benchmark alone, which ends what it started.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=env or environment(),
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def until_it_answers(process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
    """A socket may listen before the worker runs that will accept from it: nginx's does."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        check(process, folder)
        # Whatever it says is an answer; a refusal, an end or silence is none yet.
        with (
            contextlib.suppress(OSError),
            socket.create_connection(("127.0.0.1", port), timeout=1) as probe,
        ):
            probe.sendall(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
            if probe.recv(1):
                return
        time.sleep(0.01)
    raise Failed(f"{folder.name} does not answer:\n{said(folder)}")


def until_it_says(process: subprocess.Popen[bytes], folder: Path, word: bytes) -> list[bytes]:
    """Return the whole lines of ``out`` once ``word`` is in one of them."""
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        lines = (folder / "out").read_bytes().split(b"\n")[:-1]
        if any(word in line for line in lines):
            return lines
        check(process, folder)
        time.sleep(0.001)
    raise Failed(f"{folder.name} does not say {word!r}:\n{said(folder)}")


def check(process: subprocess.Popen[bytes], folder: Path) -> None:
    if process.poll() is not None:
        raise Failed(f"{folder.name} ended with {process.returncode}:\n{said(folder)}")


def said(folder: Path) -> str:
    """The last that a program said."""
    return "\n".join(_tail(folder / name) for name in ("out", "err"))


def _tail(path: Path) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL))
        return file.read().decode("utf-8", "replace")


def output(*command: str, env: Mapping[str, str] | None = None) -> str:
    """What a program says of itself, on whichever stream; some end with 1 then."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=env,
        timeout=30,
        check=False,
    )
    return done.stdout


def free_port() -> int:
    """Return a port that the kernel has just given out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
