"""Lines reach whoever reads, and hold up nobody when nobody does."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import stat
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shim.ledger.records import Record, encode
from shim.record.log import LineWriter, make_logger
from tests.support.ledger_records import a_near_miss, a_use
from tests.support.waiting import until

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            assert not stat.S_ISREG(end)


def test_an_event_is_one_json_line_with_the_event_first(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        logger = make_logger(LineWriter(file.fileno()), instance="shim-a", clock=lambda: NOON)
        logger.info("listening", proxy="http://[::1]:1", hostile="a\nb\x1b[31m\u202e")
        logger.debug("not at this level")
    lines = path.read_text().splitlines()
    assert len(lines) == 1
    event = json.loads(lines[0])
    assert list(event)[:3] == ["event", "level", "timestamp"]
    assert event["timestamp"] == "2026-11-23T12:00:00.000Z"
    assert event["hostile"] == "a\nb\x1b[31m\u202e"


def test_a_full_pipe_costs_lines_and_no_time(pipe: tuple[int, int]) -> None:
    reader, end = pipe
    writer = LineWriter(end, limit=10_000)
    logger = make_logger(writer, instance="shim-a", clock=lambda: NOON)
    begun = time.monotonic()
    for number in range(5000):
        logger.info("used", number=number, filler="x" * 200)
    assert time.monotonic() - begun < 5
    assert writer.dropped > 0
    os.set_blocking(reader, False)
    read = b""
    while writer.dropped and b"log_lines_dropped" not in read:
        writer.flush()
        read += os.read(reader, 1 << 20)
    events = [json.loads(line) for line in read.splitlines()]
    assert [event["number"] for event in events[:-1]] == list(range(len(events) - 1))
    assert events[-1]["event"] == "log_lines_dropped"
    assert events[-1]["lines"] == writer.dropped == 5000 - (len(events) - 1)


async def test_a_backlog_goes_out_when_the_reader_is_back(pipe: tuple[int, int]) -> None:
    reader, end = pipe
    writer = LineWriter(end)
    line = b"x" * 4095 + b"\n"
    for _ in range(40):
        writer.write(line)
    read = bytearray()
    os.set_blocking(reader, False)

    def all_read() -> bool:
        with contextlib.suppress(BlockingIOError):
            read.extend(os.read(reader, 1 << 20))
        return len(read) >= 40 * len(line)

    await until(all_read)
    assert read == line * 40
    assert writer.dropped == 0


def test_a_line_longer_than_the_pipe_comes_out_whole(pipe: tuple[int, int]) -> None:
    reader, end = pipe
    writer = LineWriter(end)
    line = b"y" * 200_000 + b"\n"
    writer.write(line)
    read = b""
    while len(read) < len(line):
        read += os.read(reader, 1 << 16)
        writer.flush()
    assert read == line


def test_a_socket_that_is_not_read_blocks_nobody() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        writer = LineWriter(ours.fileno(), limit=1000)
        begun = time.monotonic()
        for _ in range(2000):
            writer.write(b"z" * 999 + b"\n")
        assert time.monotonic() - begun < 5
        assert writer.dropped > 0
        writer.close()


def test_a_reader_that_is_gone_costs_lines_and_nothing_else(pipe: tuple[int, int]) -> None:
    reader, end = pipe
    writer = LineWriter(end)
    os.close(reader)
    for _ in range(100):
        writer.write(b"line\n")
    assert writer.dropped == 100


def test_a_descriptor_that_is_closed_is_no_error() -> None:
    reader, end = os.pipe()
    os.close(reader)
    os.close(end)
    LineWriter(end).write(b"line\n")


class Unspeakable:
    def __repr__(self) -> str:
        return "a\x7fb"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        pytest.param("a\x7f\x1b\u202e\u2028é界\U0001f600", None, id="not ASCII"),
        pytest.param("a\ud800b", None, id="a lone surrogate"),
        pytest.param(2**70, None, id="a long number"),
        pytest.param([{"a": None}, [True, 1.5]], None, id="nested"),
        pytest.param(Path("a"), "PosixPath('a')", id="an object"),
        pytest.param(["é", Unspeakable()], ["é", "a\x7fb"], id="an object among text"),
    ],
)
@pytest.mark.parametrize("log_format", ["json", "console"])
def test_whatever_is_logged_is_a_line_of_ascii(
    value: object, told: object, log_format: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        writer = LineWriter(file.fileno())
        make_logger(writer, instance="shim-a", clock=lambda: NOON, log_format=log_format).info(
            "x", value=value
        )
    line = path.read_bytes()
    if log_format == "json":
        assert line.isascii()
        assert line[:-1].decode().isprintable()
        assert json.loads(line)["value"] == (value if told is None else told)
    assert line.endswith(b"\n")


@pytest.mark.parametrize("record", [a_use(), a_near_miss("é\x7f")])
def test_a_record_is_logged_as_the_line_that_it_is(record: Record, tmp_path: Path) -> None:
    line = encode(record)
    for log_format, level in (("json", "info"), ("console", "info"), ("json", "warning")):
        path = tmp_path / f"{log_format}-{level}"
        with path.open("wb") as file:
            logger = make_logger(
                LineWriter(file.fileno()),
                instance="shim-a",
                clock=lambda: NOON,
                log_format=log_format,
                level=level,
            )
            logger.info("whatever", encoded=line)
    assert (tmp_path / "json-info").read_bytes() == line + b"\n"
    assert b"caller_source=user-agent" in (tmp_path / "console-info").read_bytes()
    assert (tmp_path / "json-warning").read_bytes() == b""


def test_an_exception_is_logged_with_where_it_came_from(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        logger = make_logger(LineWriter(file.fileno()), instance="shim-a", clock=lambda: NOON)
        try:
            raise OSError("no such thing")
        except OSError:
            logger.exception("broken")
    event = json.loads(path.read_bytes())
    assert event["level"] == "error"
    assert event["exception"].endswith("OSError: no such thing")


# What a full disk did not take was not counted, and the next line stood behind a torn one.
def test_lines_that_a_full_disk_does_not_take_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "log"
    whole, limit = b"x" * 99 + b"\n", 250
    with path.open("wb") as file, size_limit(limit):
        writer = LineWriter(file.fileno())
        told: list[int] = []
        writer.on_recovered = told.append
        for _ in range(4):
            writer.write(whole)
        assert writer.dropped == 2
        with size_limit(10_000):
            writer.write(whole)
    assert told == [2]
    assert path.read_bytes() == 2 * whole + whole[:50] + b"\n" + whole


@contextlib.contextmanager
def size_limit(size: int) -> Iterator[None]:
    """Let no file become larger: to who writes it is as a full disk, with another error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
