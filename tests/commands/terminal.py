"""A command as somebody watches it at a terminal, and what it leaves behind."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.waiting import wait_until

# Makes the terminal its own, as a login does, with so many columns.
_AT_A_TERMINAL = """
import fcntl, os, struct, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 60, 0, 0))
os.execvp(sys.argv[1], sys.argv[1:])
"""


class Watched:
    """A command in a session of its own, at a terminal of 60 columns."""

    def __init__(self, command: Sequence[str], cwd: Path, env: dict[str, str]) -> None:
        self._terminal, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-c", _AT_A_TERMINAL, *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=cwd,
            env={**env, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(theirs)
        self._said = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # Where nobody has it open any more, Linux says EIO.
        with contextlib.suppress(OSError):
            while data := os.read(self._terminal, 65536):
                self._said += data

    @property
    def said(self) -> str:
        return self._said.decode("utf-8", "replace").replace("\r\n", "\n")

    def await_text(self, text: str, seconds: float) -> None:
        def there() -> bool:
            assert self.process.poll() is None, self.said
            return text in " ".join(self.said.split())

        wait_until(there, seconds, said=lambda: self.said)

    def press_ctrl_c(self) -> None:
        os.write(self._terminal, b"\x03")

    def wait(self) -> int:
        """The exit code, once all that it started has ended too, at most soon after it."""
        code = self.process.wait(30)
        wait_until(lambda: not self.left(), 5, said=lambda: f"still there: {self.left()}")
        self._reader.join(5)
        return code

    def left(self) -> list[str]:
        """What still runs in the session."""
        found = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                name, _, fields = stat.read_text().partition("(")[2].rpartition(")")
                state, _, _, session = fields.split()[:4]
                if int(session) == self.process.pid and state != "Z":
                    found.append(name)
        return found

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self._reader.join(5)
        os.close(self._terminal)


@contextlib.contextmanager
def watching(command: Sequence[str], cwd: Path, env: dict[str, str]) -> Iterator[Watched]:
    watched = Watched(command, cwd, env)
    try:
        yield watched
    finally:
        watched.stop()
