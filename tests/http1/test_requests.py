"""Where messages begin and end, however their bytes arrive."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.http1.grammar import FramingError
from shim.http1.requests import NO_HEAD, HeadParser, RequestFramer, RequestHead
from shim.http1.section import MAX_SECTION

HOST = b"Host: a\r\n"
Told = list[tuple[bytes, bytes] | bytes | int]


def read(framer: RequestFramer, *pieces: bytes) -> Told:
    """Heads as method and target, bodies whole, a fault as its status; then no more."""
    told: Told = []
    for piece in pieces:
        framer.feed(piece)
        try:
            while True:
                if framer.in_body:
                    content = b"".join(framer.read_body())
                    if told and isinstance(told[-1], bytes):
                        told[-1] += content
                    else:
                        told.append(content)
                    if framer.in_body:
                        break
                head = framer.next_head()
                if head is None:
                    break
                if head.fault is not None:
                    return [*told, head.fault.status]
                told.append((head.method, head.target))
        except FramingError as error:
            return [*told, error.status]
    return told


def refused(raw: bytes) -> FramingError:
    with pytest.raises(FramingError) as caught:
        HeadParser().parse(raw)
    return caught.value


def head_of(raw: bytes) -> RequestHead:
    return HeadParser().parse(raw)


MESSAGES = [
    (b"GET /a HTTP/1.1\r\n" + HOST + b"\r\n", [(b"GET", b"/a")]),
    (b"FOO /b HTTP/1.1\r\n" + HOST + b"\r\n", [(b"FOO", b"/b")]),
    (b"\r\nGET /c HTTP/1.0\r\n\r\n", [(b"GET", b"/c")]),
    (
        b"POST /d HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nGET /",
        [(b"POST", b"/d"), b"GET /"],
    ),
    (
        b"POST /e HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"5 ; x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n",
        [(b"POST", b"/e"), b"hello"],
    ),
    (b"PUT /f HTTP/1.1\r\n" + HOST + b"Content-Length: 0\r\n\r\n", [(b"PUT", b"/f")]),
]


@given(st.lists(st.sampled_from(MESSAGES), min_size=1, max_size=5), st.data())
def test_the_same_messages_come_out_however_the_bytes_are_cut(
    messages: list[tuple[bytes, list[tuple[bytes, bytes] | bytes]]], data: st.DataObject
) -> None:
    raw = b"".join(message for message, _ in messages)
    expected = [part for _, parts in messages for part in parts]
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=12).map(sorted))
    pieces = [raw[i:j] for i, j in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    framer = RequestFramer()
    assert read(framer, *pieces) == expected
    assert not framer.in_head
    assert not framer.in_body
    assert framer.waiting == 0


@given(st.binary(max_size=200), st.integers(1, 20))
def test_noise_in_one_piece_and_in_many_comes_to_the_same(noise: bytes, size: int) -> None:
    raw = b"GET / HTTP/1.1\r\nHost: a\r\n" + noise
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    assert read(RequestFramer(), *pieces) == read(RequestFramer(), raw)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="no host"),
        pytest.param(b"GET / HTTP/1.1\r\n" + HOST * 2 + b"\r\n", id="two hosts"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", id="two hosts in one"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", id="a host with a space"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", id="a host with a user"),
        pytest.param(
            b"POST / HTTP/1.1\r\n"
            + HOST
            + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            id="length and chunks",
        ),
        *(
            pytest.param(
                b"POST / HTTP/1.1\r\n" + HOST + b"Content-Length: " + length + b"\r\n\r\n",
                id=f"length {length!r}",
            )
            for length in (b"+5", b"-5", b"5, 5", b"0x5", b"", b"5 5", b"\xb2", b"9" * 19)
        ),
        *(
            pytest.param(
                b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: " + coding + b"\r\n\r\n",
                id=f"coding {coding!r}",
            )
            for coding in (
                b"gzip",
                b"gzip, chunked",
                b"chunked, chunked",
                b"",
                b"xchunked",
                b"chunked;x",
            )
        ),
        pytest.param(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks in 1.0"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", id="folded"),
        pytest.param(b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", id="space before the colon"),
        pytest.param(b"GET / HTTP/1.1\r\n: a\r\n\r\n", id="no name"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", id="bare CR"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: a\r\nX: a\x00\r\n\r\n", id="NUL"),
        pytest.param(b"GET  / HTTP/1.1\r\n" + HOST + b"\r\n", id="two spaces"),
        pytest.param(b"GET /a b HTTP/1.1\r\n" + HOST + b"\r\n", id="a space in the target"),
        pytest.param(b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", id="1.2"),
        pytest.param(b"GET / http/1.1\r\n" + HOST + b"\r\n", id="lower case"),
        pytest.param(b"GET a HTTP/1.1\r\n" + HOST + b"\r\n", id="no slash"),
        pytest.param(b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", id="asterisk for GET"),
        pytest.param(b"GET ftp://a/ HTTP/1.1\r\n" + HOST + b"\r\n", id="another scheme"),
        pytest.param(b"GET http://u:p@a/ HTTP/1.1\r\n" + HOST + b"\r\n", id="userinfo"),
        pytest.param(b"GET http:///x HTTP/1.1\r\n" + HOST + b"\r\n", id="no authority"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(raw: bytes) -> None:
    assert refused(raw).status == 400


def test_a_refusal_never_repeats_what_was_sent() -> None:
    fault = refused(b"GET http://user:s3cret@a/ HTTP/1.1\r\nHost: a\r\n\r\n")
    assert "s3cret" not in str(fault)


@pytest.mark.parametrize(
    ("line", "target", "authority"),
    [
        (b"GET http://b:1/x?y", b"/x?y", b"b:1"),
        (b"GET HTTPS://b", b"/", b"b"),
        (b"GET http://b?q", b"/?q", b"b"),
        (b"OPTIONS http://b", b"*", b"b"),
        (b"OPTIONS *", b"*", None),
        (b"GET //x", b"//x", None),
        (b"GET /\xc3\xbc", b"/\xc3\xbc", None),
    ],
)
def test_a_target_is_brought_into_origin_form(
    line: bytes, target: bytes, authority: bytes | None
) -> None:
    head = head_of(line + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (head.target, head.authority) == (target, authority)


@pytest.mark.parametrize(
    ("version", "fields", "keep_alive"),
    [
        (b"1", b"", True),
        (b"1", b"Connection: close\r\n", False),
        (b"1", b"Connection: x, Close\r\n", False),
        (b"1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"0", b"", False),
        (b"0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_persistence_is_that_of_the_version_unless_said(
    version: bytes, fields: bytes, *, keep_alive: bool
) -> None:
    raw = b"GET / HTTP/1." + version + b"\r\n" + HOST + fields + b"\r\n"
    assert head_of(raw).keep_alive is keep_alive


def test_white_space_around_a_value_is_not_part_of_it() -> None:
    head = head_of(b"GET / HTTP/1.1\r\nHost:a \r\nX: \t b\tc \t\r\nY:\r\nZ:   \r\n\r\n")
    assert [(name, value) for name, value, _ in head.fields] == [
        (b"host", b"a"),
        (b"x", b"b\tc"),
        (b"y", b""),
        (b"z", b""),
    ]


def test_a_field_keeps_its_line_as_it_came() -> None:
    head = head_of(b"GET / HTTP/1.1\r\nHOST:a \r\nX: \t b\tc \t\r\n\r\n")
    assert [line for _, _, line in head.fields] == [b"HOST:a \r\n", b"X: \t b\tc \t\r\n"]


@pytest.mark.parametrize(
    "beginning",
    [
        b"\x16\x03\x01",
        b"GET /\x00",
        b"GET / FTP",
        b"GET / HTTP/2",
        b"GET / HTTP/1.1\nHost",
        b"GET / HTTP/1.1\r\nHost: a\n",
        b"GET / HTTP/1.1\r\n Host",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
    ],
)
def test_bytes_that_cannot_become_a_request_are_not_waited_for(beginning: bytes) -> None:
    # A client that speaks TLS to a plain port would else hang until a timeout.
    assert read(RequestFramer(), *(bytes([byte]) for byte in beginning))[-1:] == [400]


def test_a_head_may_fill_the_limit_and_not_pass_it() -> None:
    start, end = b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"\r\n\r\n"
    full = start + b"x" * (MAX_SECTION - len(start) - len(end)) + end
    assert read(RequestFramer(), full) == [(b"GET", b"/")]
    assert read(RequestFramer(), full[:-4] + b"x" + end) == [431]
    assert read(RequestFramer(), full[:-4] + b"x" * 9) == [431]


def test_empty_lines_before_a_request_are_few() -> None:
    # Each costs its sender two bytes, and a read here.
    request = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    assert read(RequestFramer(), b"\r\n" * 16 + request) == [(b"GET", b"/")]
    assert read(RequestFramer(), *[b"\r\n"] * 17) == [400]


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_chunk_s_size_line_has_one_limit_however_it_is_cut(size: int) -> None:
    # In one piece no length of it was too long.
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    for length, told in ((4000, b"hello"), (5000, 400)):
        raw = b"5;x=" + b"y" * length + b"\r\nhello\r\n0\r\n\r\n"
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert read(RequestFramer(), head, *pieces)[-1] == told


@pytest.mark.parametrize("size", [1, 7, 100_000])
def test_a_chunk_s_size_may_have_leading_zeros(size: int) -> None:
    # More than sixteen digits were no size; RFC 9112 section 7.1 has no such limit.
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    zeros = b"0" * 4000
    for raw, told in (
        (zeros + b"5\r\nhello\r\n" + zeros + b"\r\n\r\n", b"hello"),
        (zeros + b"3" + b"f" * 15 + b"\r\nhello", b"hello"),
        (zeros + b"4" + b"0" * 15 + b"\r\nhello", 400),
        (b"0" * 4097, 400),
    ):
        pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
        assert read(RequestFramer(), head, *pieces)[-1] == told


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_over_the_limit_is_refused_however_it_is_framed(framing: str) -> None:
    # A deprecated call with a chunked body was read whole, however long: nobody counted it.
    head = b"DELETE /invocations/x HTTP/1.1\r\n" + HOST
    if framing == "length":
        framer = RequestFramer(max_body=10)
        framer.feed(head + b"Content-Length: 11\r\n\r\n")
        shown = framer.next_head()
        assert shown is not None
        assert shown.fault is not None
        assert shown.fault.status == 413
        return
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    assert read(RequestFramer(10), chunked + b"a\r\n0123456789\r\n0\r\n\r\n")[-1] == b"0123456789"
    assert read(RequestFramer(10), chunked + b"a\r\n0123456789\r\n", b"1\r\n0\r\n")[-1] == 413


@pytest.mark.parametrize(
    "body",
    [
        b"g\r\n",
        b"5\n",
        b"5 \r\n",
        b"-5\r\n",
        b"0x5\r\n",
        b"\r\n",
        b"5;\n",
        b"f" * 17,
        b"2\r\nabc\r\n",
        b"2\r\nab\n",
        b"0\r\n\n",
        b"0\r\nX\r\n\r\n",
        b"0\r\n X: 1\r\n\r\n",
        b"f" * 16 + b"\r\n",
    ],
)
def test_a_body_that_breaks_is_refused_behind_its_head(body: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    told = read(RequestFramer(), head, body)
    assert (told[0], told[-1]) == ((b"POST", b"/"), 400)


@pytest.mark.parametrize(
    ("data", "method", "target", "names"),
    [
        (b"GET /a HTTP/1.1\r\nA: 1\r\n\r\n", b"GET", b"/a", [b"a"]),
        (b"GET /a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", b"GET", b"/a", [b"host", b"host"]),
        (b"GET /a HTTP/1.1\r\nA: 1\r\nB: 2\r\n c\r\n\r\n", b"GET", b"/a", [b"a", b"b"]),
        (b"GET /a HTTP/1.1\r\nA: 1\r\nB : 2\r\nC: 3\r\n\r\n", b"GET", b"/a", [b"a"]),
        (b"GET /a HTTP/1.1\nA: 1\n\n", b"GET", b"/a", []),
        (b"GET\t/a  HTTP/2.0 \r\nA: 1\r\n\r\n", b"GET", b"/a", [b"a"]),
        (b"GET http://u@b/a?c HTTP/1.1\r\nHost: b\r\n\r\n", b"GET", b"/a?c", [b"host"]),
        (b"GET /a HTTP/1.1\r\nA: " + b"x" * MAX_SECTION, b"GET", b"/a", []),
    ],
)
def test_what_is_refused_is_known_as_far_as_it_can_be_read(
    data: bytes, method: bytes, target: bytes, names: list[bytes]
) -> None:
    framer = RequestFramer()
    framer.feed(data)
    head = framer.next_head()
    assert head is not None
    assert (head.method, head.target, [name for name, *_ in head.fields]) == (method, target, names)
    assert head.fault is not None
    assert (head.keep_alive, head.has_body) == (False, False)


@pytest.mark.parametrize(
    "data",
    [
        b"PRI * HTTP/2.0\r\n\r\n",
        b"GET /a\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"GET /" + b"a" * MAX_SECTION,
        b"\r\n" * 40,
    ],
)
def test_what_is_no_request_is_not_known(data: bytes) -> None:
    framer = RequestFramer()
    framer.feed(data)
    head = framer.next_head()
    assert head is not None
    assert head.fault is not None
    assert head._replace(fault=None) == NO_HEAD


def test_a_head_that_has_only_begun_is_known_by_its_line() -> None:
    framer, error = RequestFramer(), FramingError(408, "late")
    framer.feed(b"GET /a HT")
    assert framer.next_head() is None
    assert framer.give_up(error) == NO_HEAD._replace(fault=error)
    framer.feed(b"TP/1.1\r\nA: 1\r\nB: 2")
    assert framer.next_head() is None
    head = framer.give_up(error)
    assert (head.target, [name for name, *_ in head.fields]) == (b"/a", [b"a"])
    assert head.fault is error


# A head of 2 KB was remembered with all that it was made into, 98 KB, on each idle connection.
def test_what_a_connection_remembers_of_a_head_is_small() -> None:
    data = b"GET / HTTP/1.1\r\n" + HOST + b"a:\r\n" * 500 + b"\r\n"
    # What Python keeps for later is there already.
    read(RequestFramer(), data)
    framer = RequestFramer()
    tracemalloc.start()
    try:
        framer.feed(data)
        assert framer.next_head() is not None
        assert tracemalloc.get_traced_memory()[0] < 10_000
    finally:
        tracemalloc.stop()


# It was told of a bare LF, though none had come.
def test_half_a_line_is_not_blamed_for_its_end() -> None:
    framer = RequestFramer()
    framer.feed(b"GET /a\tb")
    head = framer.next_head()
    assert head is not None
    assert str(head.fault) == "The request line is not METHOD, space, target, space, HTTP/1.1"
