"""Programs that these tests drive: where they are, what they are told, and that they end."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.waiting import wait_until
from tests.support.wanting import missing


def tool(name: str, package: str) -> str:
    """Return where a program is, or skip with the package that has it."""
    places = [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]
    path = shutil.which(name, path=os.pathsep.join(places))
    if path is None:
        missing(f"{name} ({package})")
    return path


def needs_module(name: str, package: str) -> None:
    """Skip without a module of a package from PyPI."""
    if importlib.util.find_spec(name) is None:
        missing(f"{package} (PyPI)")


def run(*command: str, timeout: float = 60, stdin: str | None = None, cwd: Path = ROOT) -> str:
    """Run a program that is to succeed, and return what it said."""
    done = subprocess.run(
        command,
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        cwd=cwd,
        check=False,
    )
    assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def free_port() -> int:
    """Return a port that the kernel has just given out."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def started(command: Sequence[str], log: Path, port: int, within: float = 20) -> Iterator[None]:
    """Run a program for as long as the ``with`` lasts, from when it listens on ``port``."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
        )

    def said() -> str:
        return log.read_text()[-3000:]

    def listens() -> bool:
        assert process.poll() is None, f"{command[0]} ended:\n{said()}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        wait_until(listens, within, said=lambda: f"{command[0]} is silent:\n{said()}")
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
