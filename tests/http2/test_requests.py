"""What a request's fields mean; that each fault is refused on the wire is in tests/wire."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.http1.bodies import Framing
from shim.http1.fields import forwarded_request
from shim.http1.requests import NO_HEAD, RequestFramer, RequestHead
from shim.http2.requests import Pair, read_head, trailer_problem
from tests.support.http2 import ordinary


def read(*pairs: Pair, ended: bool = True, max_body: int | None = None) -> RequestHead:
    return read_head([*ordinary("POST", "/a?b"), *pairs], ended=ended, max_body=max_body)


def test_a_head_is_as_http_1_would_have_it() -> None:
    head = read((b"x", b"y"), (b"host", b"admin.test:9070"))
    assert (head.method, head.target, head.authority) == (b"POST", b"/a?b", None)
    assert head.fields == [
        (b"host", b"admin.test:9070", b"Host: admin.test:9070\r\n"),
        (b"x", b"y", b"x: y\r\n"),
    ]
    assert (head.fault, head.version) == (None, b"2.0")


@pytest.mark.parametrize(
    ("fields", "ended", "framing", "length"),
    [
        ([], True, Framing.NONE, 0),
        ([], False, Framing.CHUNKED, 0),
        ([(b"content-length", b"0")], True, Framing.NONE, 0),
        ([(b"content-length", b"0")], False, Framing.NONE, 0),
        ([(b"content-length", b"7")], False, Framing.LENGTH, 7),
        ([(b"content-length", b"007")], False, Framing.LENGTH, 7),
    ],
)
def test_a_body_has_one_framing(
    fields: list[Pair], ended: bool, framing: Framing, length: int
) -> None:
    head = read(*fields, ended=ended)
    assert (head.framing, head.length, head.fault) == (framing, length, None)


def test_a_body_over_the_limit_is_refused_where_its_length_is_said() -> None:
    assert read((b"content-length", b"10"), ended=False, max_body=10).fault is None
    fault = read((b"content-length", b"11"), ended=False, max_body=10).fault
    assert fault is not None
    assert fault.status == 413


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [(b":method", b"GET")],
        [(b":path", b"/")],
        [(b":method", b"GE T"), (b":path", b"/")],
        [(b":method", b"GET"), (b":path", b"/ ")],
        [(b"a", b"b"), (b":method", b"GET"), (b":path", b"/")],
        [(b":method", b"CONNECT")],
    ],
)
def test_without_method_and_path_nobody_knows_what_it_was(fields: list[Pair]) -> None:
    head = read_head(fields, ended=True, max_body=None)
    assert head.fault is not None
    assert head._replace(fault=None, major_version=1) == NO_HEAD


def test_what_is_refused_is_known_up_to_the_first_fault() -> None:
    head = read((b"user-agent", b"old/1"), (b"Upper", b"x"), (b"x-request-id", b"r"))
    assert [name for name, *_ in head.fields] == [b"host", b"user-agent"]
    assert head.fault is not None
    assert (head.fault.status, head.has_body) == (400, False)


def test_trailers_are_held_to_the_same_rules() -> None:
    assert trailer_problem([(b"x-checksum", b"1")]) is None
    for pairs in ([(b":path", b"/")], [(b"A", b"b")], [(b"a", b"b\n")], [(b"connection", b"a")]):
        assert trailer_problem(pairs) is not None


NAMES = st.sampled_from(
    [b":method", b":path", b":scheme", b":authority", b"host", b"cookie", b"content-length"]
) | st.binary(max_size=6)
VALUES = st.sampled_from([b"GET", b"/", b"http", b"a.test", b"5", b"a\r\nb: c"]) | st.binary(
    max_size=8
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8), st.booleans(), st.booleans())
def test_whatever_is_taken_is_one_request_to_a_strict_reader_of_http_1(
    pairs: list[Pair], ordinarily: bool, ended: bool
) -> None:
    """Nothing that HTTP/2 can hold reaches upstream as something else, or as two."""
    head = read_head((ordinary() if ordinarily else []) + pairs, ended=ended, max_body=None)
    if head.fault is not None:
        return
    lines = forwarded_request(
        head.fields, peer=b"p", proto=b"http", version=head.version, host=None, trusted=True
    )
    chunked = b"Transfer-Encoding: chunked\r\n" if head.framing is Framing.CHUNKED else b""
    framer = RequestFramer()
    raw = b"%b %b HTTP/1.1\r\n%b%b\r\n" % (head.method, head.target, b"".join(lines), chunked)
    framer.feed(raw + b"behind")
    again = framer.next_head()
    assert again is not None
    assert framer.waiting == len(b"behind")
    assert (again.method, again.target) == (head.method, head.target)
    assert (again.framing, again.length) == (head.framing, head.length)
    sent = [(name, value) for name, value, _ in again.fields]
    assert [one for one in sent if one[0] == b"host"] == [
        (name, value) for name, value, _ in head.fields if name == b"host"
    ]
