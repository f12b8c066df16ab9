"""Log lines that never hold up a request.

A reader of stdout that stops reading must cost lines, not answers: :class:`LineWriter` writes only
where the kernel will take the bytes at once, keeps a bounded backlog, and counts what it drops.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import select
import socket
import stat
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

import msgspec
import structlog
from structlog.typing import EventDict, FilteringBoundLogger

from shim.ledger import events
from shim.moments import rfc3339

Logger = FilteringBoundLogger

# Linux reports a pipe as writable when a write of PIPE_BUF bytes will not block (pipe(7)).
_SLICE: Final = select.PIPE_BUF
_RETRY_SECONDS: Final = 0.05


class LineWriter:
    """Writes lines to a file descriptor without blocking; at most ``limit`` bytes wait."""

    def __init__(self, fd: int, limit: int = 1 << 20) -> None:
        self.dropped = 0
        self.on_recovered: Callable[[int], None] | None = None
        self._unreported = 0
        self._backlog: list[bytes] = []
        self._within_line = False
        self._waiting = 0
        self._limit = limit
        self._next: asyncio.Handle | None = None
        self._write, self._release = _writer_for(fd)

    def write(self, line: bytes) -> None:
        """Write ``line`` after this turn of the loop, or at once without one; or drop and count."""
        if self._waiting + len(line) > self._limit:
            self.flush()
            if self._waiting + len(line) > self._limit:
                self._drop(1)
                return
        self._backlog.append(line)
        self._waiting += len(line)
        if self._next is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                self.flush()
            else:
                self._next = loop.call_soon(self._go_on)

    def flush(self) -> None:
        """Write as much of the backlog as the reader takes now."""
        while self._backlog:
            data = b"".join(self._backlog)
            try:
                written = self._write(data)
            except OSError:
                # Nobody will ever read it: the other end is closed, or the disk is full.
                self._drop(data.count(b"\n") - data.startswith(b"\n"))
                # Of a line that was begun nobody is to take the next one for the rest.
                self._backlog = [b"\n"] if self._within_line else []
                self._waiting = len(self._backlog)
                return
            if written:
                self._within_line = data[written - 1] != ord("\n")
            self._backlog = [data[written:]] if written < len(data) else []
            self._waiting = len(data) - written
            if self._backlog:
                return
        if self._unreported and self.on_recovered is not None:
            lines, self._unreported = self._unreported, 0
            self.on_recovered(lines)

    def close(self) -> None:
        """Give up what is held besides ``fd`` itself; the backlog is lost."""
        if self._next is not None:
            self._next.cancel()
        self._write = len
        self._release()

    def _drop(self, lines: int) -> None:
        self.dropped += lines
        self._unreported += lines

    def _go_on(self) -> None:
        self._next = None
        self.flush()
        if self._backlog:
            self._next = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._go_on)


def _writer_for(fd: int) -> tuple[Callable[[bytes], int], Callable[[], None]]:
    """Return a function that writes what fits at once and says how much, and one to end it.

    The former raises ``OSError`` where nothing can be written, now or later.
    """
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return len, _nothing
    if stat.S_ISSOCK(mode):
        # The duplicate shares the connection, not the Python object's fate.
        sock = socket.socket(fileno=os.dup(fd))

        def send(data: bytes) -> int:
            try:
                return sock.send(data, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return 0

        return send, sock.close
    poll = select.poll()
    always_ready = stat.S_ISREG(mode)
    if not always_ready:
        poll.register(fd, select.POLLOUT)

    def write(data: bytes) -> int:
        written = 0
        while written < len(data) and (always_ready or poll.poll(0)):
            try:
                written += os.write(fd, data[written : written + _SLICE])
            except OSError:
                if written:
                    break
                raise
        return written

    return write, _nothing


def _nothing() -> None:
    """Release nothing."""


class _LineLogger:
    """What structlog hands finished lines to."""

    def __init__(self, writer: LineWriter) -> None:
        self._writer = writer

    def msg(self, line: bytes) -> None:
        self._writer.write(line + b"\n")

    debug = info = warning = warn = error = critical = exception = msg


def make_logger(
    writer: LineWriter,
    *,
    instance: str,
    clock: Callable[[], datetime],
    log_format: str = "json",
    level: str = "info",
    colors: bool = False,
) -> Logger:
    """Return a logger that renders events as JSON lines, or for people (``console``).

    An event that is ``encoded``, as :func:`shim.ledger.records.encode` does it, is that line.
    Lines that ``writer`` has dropped are said to be those of ``instance``.
    """

    def head_first(name: str, event: EventDict) -> EventDict:
        timestamp = event.pop("timestamp", None) or rfc3339(clock())
        return {"event": event.pop("event"), "level": name, "timestamp": timestamp, **event}

    def as_json(_: Any, name: str, event: EventDict) -> bytes:
        line: bytes | None = event.get("encoded")
        return _to_json(head_first(name, event)) if line is None else line

    console = structlog.dev.ConsoleRenderer(colors=colors)

    def for_people(logger: Any, name: str, event: EventDict) -> bytes:
        line: bytes | None = event.get("encoded")
        fields = head_first(name, event) if line is None else json.loads(line)
        return console(logger, name, fields).encode("utf-8", "backslashreplace")

    logger: Logger = structlog.wrap_logger(
        _LineLogger(writer),
        processors=[
            structlog.processors.format_exc_info,
            for_people if log_format == "console" else as_json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
    ).bind()
    writer.on_recovered = lambda lines: logger.warning(
        events.LINES_DROPPED, lines=lines, instance=instance
    )
    return logger


_encoder: Final = msgspec.json.Encoder(enc_hook=repr)


def _to_json(event: EventDict) -> bytes:
    """Return ``event`` in ASCII: what acts on a terminal or ends a line stays out of the log."""
    # Not so lone surrogates, and numbers of more than 64 bits.
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        line = _encoder.encode(event)
        if line.isascii() and b"\x7f" not in line:
            return line
    return json.dumps(event, default=repr, separators=(",", ":")).encode()


class StdlibHandler(logging.Handler):
    """Takes what libraries log through :mod:`logging` into the same lines."""

    def __init__(self, logger: Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        """Log ``record`` as an event ``library_log``."""
        self._logger.log(
            record.levelno,
            "library_log",
            logger=record.name,
            message=record.getMessage(),
            exc_info=record.exc_info,
        )
