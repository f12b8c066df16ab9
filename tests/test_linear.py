"""What callers and upstream send is read in time linear in its bytes, whatever they are.

Inputs grow eightfold: linear work takes about eight times as long, quadratic work sixty-four times.
The CPU time of this thread is compared with itself, the least of several runs.
"""

from __future__ import annotations

import base64
import importlib
import ipaddress
import pkgutil
import re
import time
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    HeadersFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

import shim
from shim.http1.answers import AnswerFramer
from shim.http1.fields import end_to_end, field, forwarded_request
from shim.http1.grammar import FramingError
from shim.http1.plain import plain_answer, plain_borders, plain_fields
from shim.http1.requests import RequestFramer, RequestHead
from shim.http2.framing import PREFACE, Framer
from shim.http2.requests import read_head
from shim.ledger.log_frames import BrokenLineError, Unframer
from shim.report.advice import advice_for, replacement_for
from shim.route.caller import identify
from shim.route.meaning import interpret, redact_target
from shim.route.notice import uri
from shim.route.text import bounded, printable
from tests.support.http2 import ordinary

SMALL = 3_000
GROWTH = 8
# Between eight and sixty-four.
MOST = 24
# Seconds for the larger input that are never worth a comparison.
QUICK = 0.001

# They read what the team writes, not what callers send.
FOR_SETTINGS = {
    "shim.ledger.leftovers",
    "shim.moments",
    "shim.net.addresses",
    "shim.route.windows",
    "shim.settings.loading",
    "shim.settings.parsers",
    "shim.settings.reload",
}
# They read source trees in pieces of bounded size: tests/scan/test_growth.py reads whole files.
OF_FILES = "shim.scan"
# What it reads has been let through by another one that is here: see the fields below.
AFTER_ANOTHER = {"FIELD"}
# They look for something anywhere; all others stand at one place.
SEARCHING = {
    "shim.http1.plain": {"_DATE", "_KEEP_ALIVE", "_MARKED", "_MARKED_ANSWER", "_HOST_LINE"},
    "shim.http1.section": {"_CONTROL"},
    "shim.route.caller": {"_XFCC_PAIR"},
    "shim.route.notice": {"_NOT_IN_A_URI"},
    "shim.report.formats.markdown": {"_SPECIAL"},
}
BEGINNINGS = (
    *("", "G", "GET /", "GET / HTTP/1.1\r\n", "GET / HTTP/1.1\r\nA: ", "A:", "A: x", "[", "[::%"),
    *("HTTP/1.1 200 ", "HTTP/1.1 200 OK\r\nA: ", "5", "5 ;", "a:", "By=", 'By="', 'A=b;By="'),
    *("/invocations/", "/v1/invocations/x/", "http://", "https://a", "00-", "PATCH /", "PATCH /v"),
    *("\nDate: ", "\nHost: ", "x stdout F", "www"),
)
REPEATED = (
    *("a", "0", " ", "\t", "/", ".", ":", ";", ",", '"', "\\", "%", "=", "@", "\r", "\n", "\r\n"),
    *(" \t", '\\"', ";A=", ';A="', ';A="\\', "A: \r\n", ": ", "\nHost: x", "1;a=b\r\n"),
    *("\x00", "é"),
)
ENDS = ("", "\x01", "\r", '"')


def patterns() -> Iterator[tuple[str, str, re.Pattern[Any]]]:
    for module in pkgutil.walk_packages(shim.__path__, "shim."):
        if module.name.startswith(("shim.demo", "shim.__main__", OF_FILES)):
            continue
        if module.name in FOR_SETTINGS:
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            # A table has one in each of its rows.
            rows = value if isinstance(value, tuple) else (value,)
            for row in rows:
                pattern = row if isinstance(row, re.Pattern) else getattr(row, "pattern", None)
                if isinstance(pattern, re.Pattern) and name not in AFTER_ANOTHER:
                    yield module.name, name, pattern


# Modules import them from each other: each once.
PATTERNS = sorted(
    {one[2].pattern: one for one in patterns()}.values(), key=lambda one: (one[0], one[1])
)


def took(work: Callable[[int], object], size: int) -> float:
    before = time.thread_time()
    work(size)
    return time.thread_time() - before


def grows_too_fast(work: Callable[[int], object]) -> bool:
    if took(work, GROWTH * SMALL) < QUICK:
        return False
    small = min(took(work, SMALL) for _ in range(5))
    return min(took(work, GROWTH * SMALL) for _ in range(2)) > MOST * max(small, QUICK / MOST)


@pytest.mark.parametrize(
    ("where", "name", "pattern"), PATTERNS, ids=[f"{one[0]}.{one[1]}" for one in PATTERNS]
)
def test_an_expression_takes_time_that_is_linear_in_what_it_reads(
    where: str, name: str, pattern: re.Pattern[Any]
) -> None:
    searches = name in SEARCHING.get(where, ())
    for beginning, repeated, end in product(BEGINNINGS, REPEATED, ENDS):

        def match(size: int, beginning: str = beginning, repeated: str = repeated) -> None:
            text: Any = beginning + repeated * (size // len(repeated)) + end  # noqa: B023
            if isinstance(pattern.pattern, bytes):
                text = text.encode()
            if searches:
                pattern.findall(text)
            else:
                pattern.fullmatch(text)

        assert not grows_too_fast(match), (beginning, repeated, end)


def read(framer: RequestFramer | AnswerFramer, data: bytes, step: int) -> None:
    """As a connection reads it, in pieces of so many bytes."""
    for at in range(0, len(data), step):
        framer.feed(data[at : at + step])
        head = None if framer.in_body else framer.next_head()
        if isinstance(head, RequestHead) and head.fault is not None:
            return
        if framer.in_body:
            framer.read_body()


def heads(data: bytes, step: int) -> None:
    read(RequestFramer(None), data, step)


def refused(data: bytes) -> None:
    framer = RequestFramer(None)
    framer.feed(data)
    framer.next_head()


def answers(data: bytes, step: int) -> None:
    read(AnswerFramer(head_only=False), data, step)


def streams(block: bytes, step: int) -> None:
    """A header section of HTTP/2, in frames of 4,000 bytes."""
    pieces = [block[at : at + 4000] for at in range(0, len(block), 4000)]
    raw = HeadersFrame(1, pieces[0]).serialize()
    raw += b"".join(ContinuationFrame(1, one).serialize() for one in pieces[1:])
    raw = PREFACE + raw + ContinuationFrame(1, b"", flags=["END_HEADERS"]).serialize()
    framer = Framer()
    for at in range(0, len(raw), step):
        list(framer.receive(raw[at : at + step], 0.0))


def frames(frame: Frame, size: int) -> None:
    """So many bytes of the same frame, on a stream that is open; floods are not the matter."""
    framer = Framer()
    head = HeadersFrame(1, b"\x82", flags=["END_HEADERS"]).serialize()
    list(framer.receive(PREFACE + head, 0.0))
    raw = frame.serialize()
    # Later and later, so that there is always leave for it.
    list(framer.receive(raw * (size // len(raw) // 20), 1000.0))


def section(name: bytes, size: int) -> None:
    read_head([*ordinary(), *[(name, b"b")] * (size // len(name))], ended=True, max_body=None)


def unframe(data: bytes) -> None:
    unframer = Unframer()
    for line in data.split(b"\n"):
        unframer.feed(line)


NETWORKS = [ipaddress.ip_network("10.0.0.0/8")]
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


def named(value: bytes, name: bytes, *sources: str) -> None:
    fields = [field(b"x", b"y"), field(name, value)]
    identify(fields, "10.0.0.1", sources or ("address",), NETWORKS)


@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda n: heads(HEAD + b"A: b\r\n" * (n // 6), 1), id="a head that trickles"),
        pytest.param(lambda n: heads(HEAD + b"A: " + b"b" * n, 1), id="a line that trickles"),
        pytest.param(lambda n: heads(b"GET /" + b"b" * n, 1), id="a target that trickles"),
        pytest.param(lambda n: heads(CHUNKED + b"1\r\nx\r\n" * (n // 6), 1), id="small chunks"),
        pytest.param(lambda n: heads(CHUNKED + b"1\r\nx\r\n" * (n // 6), 9999), id="many chunks"),
        pytest.param(lambda n: heads(CHUNKED + b"1;" + b"x" * n, 1), id="an extension"),
        pytest.param(lambda n: heads(CHUNKED + b"0\r\nA: " + b"b" * n, 1), id="a trailer"),
        pytest.param(
            lambda n: heads(CHUNKED + b"0\r\n" + b"A: b\r\n" * (n // 6), 1), id="trailers"
        ),
        pytest.param(lambda n: heads(HEAD + b"A:" + b" " * n + b"b\r\n\r\n", 9999), id="space"),
        pytest.param(
            lambda n: heads(HEAD + b"A: b" + b" \t" * (n // 2) + b"\r\n\r\n", 9999), id="and behind"
        ),
        pytest.param(
            lambda n: heads(HEAD + b"A: " + b"b " * (n // 2) + b"\r\n\r\n", 9999), id="many words"
        ),
        pytest.param(lambda n: heads(HEAD + b"\r\n" + b"\r\n" * (n // 2), 1), id="empty lines"),
        pytest.param(lambda n: refused(b"DELETE" + b" " * n + b"/x\r\n"), id="refused: space"),
        pytest.param(
            lambda n: refused(b"DELETE /" + b"x" * n + b" HTTP/1.1" + b" " * n + b"y\n"),
            id="refused: a line",
        ),
        pytest.param(lambda n: refused(HEAD + b"A: b\r\n" * n + b"c\r\n"), id="refused: fields"),
        pytest.param(lambda n: answers(b"HTTP/1.1 200 " + b"x" * n, 1), id="a reason"),
        pytest.param(
            lambda n: answers(b"HTTP/1.1 103 x\r\n\r\n" * (n // 18), 1), id="interim answers"
        ),
        pytest.param(
            lambda n: answers(b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * (n // 6), 1), id="its head"
        ),
        pytest.param(lambda n: plain_borders(HEAD + b"A: b\r\n" * (n // 6)), id="plain"),
        pytest.param(lambda n: plain_borders(b"G" * n), id="plain: a method"),
        pytest.param(lambda n: plain_borders(b"GET /" + b"x" * n), id="plain: a target"),
        pytest.param(lambda n: plain_fields(b"A: b\r\n" * (n // 6)), id="plain: fields"),
        pytest.param(
            lambda n: plain_fields(b"A: b\r\n" * (n // 6) + b"\r\n"), id="plain: fields, whole"
        ),
        pytest.param(lambda n: plain_answer(b"HTTP/1.1 200 x\r\n" + b"A: b\r\n" * n), id="back"),
        pytest.param(lambda n: streams(b"\x40\x01a\x01b" * (n // 5), 9999), id="fields in frames"),
        pytest.param(lambda n: streams(b"\x40\x01a\x01b" * (n // 5), 1), id="frames that trickle"),
        pytest.param(lambda n: streams(b"\x20" * n, 9999), id="sizes of a table"),
        pytest.param(lambda n: section(b"a", n), id="a section of HTTP/2"),
        pytest.param(lambda n: section(b"cookie", n), id="cookies in pieces"),
        pytest.param(lambda n: section(b"host", n), id="many hosts"),
        pytest.param(lambda n: frames(DataFrame(1, b"x"), n), id="small frames"),
        pytest.param(lambda n: frames(WindowUpdateFrame(1, 1), n), id="frames of windows"),
        pytest.param(lambda n: frames(SettingsFrame(0, {4: 1}), n), id="settings"),
        pytest.param(lambda n: interpret(b"DELETE", b"/invocations/" + b"%2F" * n), id="an id"),
        pytest.param(lambda n: interpret(b"DELETE", b"/" * n + b"invocations/x"), id="slashes"),
        pytest.param(
            lambda n: interpret(b"POST", b"//v1" * (n // 4) + b"/invocations/"), id="versions"
        ),
        pytest.param(lambda n: interpret(b"PUT", b"//invocations//x" + b"/" * n + b"y"), id="ends"),
        pytest.param(
            lambda n: interpret(b"DELETE", b"/invocations/x?" + b"&" * n + b"mode=kill"), id="query"
        ),
        pytest.param(lambda n: redact_target(b"/x?" + b"a=b&" * (n // 4)), id="a query, hidden"),
        pytest.param(lambda n: bounded(printable(b"\xff\x00" * (n // 2))), id="what is recorded"),
        pytest.param(lambda n: uri(b"/%" * (n // 2)), id="a link"),
        pytest.param(lambda n: named(b"a" * n, b"x-forwarded-client-cert", "xfcc"), id="xfcc"),
        pytest.param(
            lambda n: named(b'By="' * (n // 4), b"x-forwarded-client-cert", "xfcc"), id="quotes"
        ),
        pytest.param(
            lambda n: named(b"A=b;" * (n // 4), b"x-forwarded-client-cert", "xfcc"), id="pairs"
        ),
        pytest.param(lambda n: named(b"10.0.0.1," * (n // 9), b"x-forwarded-for"), id="hops"),
        pytest.param(
            lambda n: named(
                b"bearer ." + base64.b64encode(b"[" * n) + b".", b"authorization", "jwt:sub"
            ),
            id="a token",
        ),
        pytest.param(lambda n: named(b"." * n, b"authorization", "jwt:sub"), id="dots"),
        pytest.param(
            lambda n: end_to_end(
                [field(b"connection", b"a," * (n // 2)), *[field(b"a", b"")] * (n // 8)]
            ),
            id="names in Connection",
        ),
        pytest.param(
            lambda n: forwarded_request(
                [field(b"x-forwarded-for", b"a")] * (n // 20),
                peer=b"a",
                proto=b"http",
                version=b"1.1",
                host=None,
                trusted=True,
                without=frozenset(),
            ),
            id="many hops",
        ),
        pytest.param(lambda n: unframe(b"x stdout P {\n" * (n // 13)), id="a line cut in pieces"),
        pytest.param(lambda n: advice_for("curl/8 " * (n // 7), None, times_masked=0), id="agents"),
        pytest.param(lambda n: replacement_for("PATCH /v" + "1" * n, None), id="a replacement"),
    ],
)
def test_what_is_read_takes_time_that_is_linear_in_its_bytes(read: Callable[[int], None]) -> None:
    def work(size: int) -> None:
        try:
            read(size)
        except (FramingError, BrokenLineError):
            return

    assert not grows_too_fast(work)
