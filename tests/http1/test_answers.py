"""Where answers begin and end, and what is none."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shim.http1.answers import AnswerFramer, PlainAnswers
from shim.http1.bodies import Framing
from shim.http1.grammar import FramingError
from shim.http1.section import MAX_ANSWER_SECTION

OK = b"HTTP/1.1 200 OK\r\n"
Told = tuple[list[int], bytes, bytes]


def read(*pieces: bytes, head_only: bool = False, closed: bool = False) -> Told | None:
    """The heads' statuses, the body, and what is left; ``None`` where the answer has no end."""
    framer = AnswerFramer(head_only=head_only)
    statuses: list[int] = []
    body = b""
    for piece in pieces:
        framer.feed(piece)
        while not framer.in_body and not framer.ended:
            head = framer.next_head()
            if head is None:
                break
            statuses.append(head.status)
        if framer.in_body:
            body += b"".join(framer.read_body())
    ended = framer.close() if closed else framer.ended
    return (statuses, body, framer.unread) if ended else None


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        pytest.param(OK + b"Content-Length: 5\r\n\r\nhello", b"hello", id="length"),
        pytest.param(OK + b"content-length:0\r\n\r\n", b"", id="no content"),
        pytest.param(
            OK + b"Transfer-Encoding: Chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n!\r\n0\r\nT: 1\r\n\r\n",
            b"hello!",
            id="chunks",
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", b"", id="204"),
        pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", b"", id="304"),
        pytest.param(b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x", id="no reason"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", b"x", id="1.0"),
    ],
)
@given(data=st.data())
def test_an_answer_is_the_same_however_its_bytes_are_cut(
    raw: bytes, body: bytes, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=12).map(sorted))
    pieces = [raw[i:j] for i, j in zip([0, *cuts], [*cuts, len(raw)], strict=True)]
    assert read(*pieces) == ([int(raw[9:12])], body, b"")


def test_interim_answers_come_before_the_final_one_and_have_no_body() -> None:
    # One with a length made the final answer's first bytes its body.
    raw = b"HTTP/1.1 103 Early Hints\r\nContent-Length: 3\r\n\r\nHTTP/1.1 102 ?\r\n\r\n"
    assert read(raw + OK + b"Content-Length: 1\r\n\r\nx") == ([103, 102, 200], b"x", b"")


def test_an_answer_without_length_or_chunks_ends_where_its_connection_does() -> None:
    assert read(OK + b"\r\nhello", closed=True) == ([200], b"hello", b"")
    assert read(OK + b"\r\nhello") is None


@pytest.mark.parametrize("framing", [b"Content-Length: 9", b"Transfer-Encoding: chunked"])
def test_an_answer_that_breaks_off_has_no_end(framing: bytes) -> None:
    assert read(OK + framing + b"\r\n\r\n1\r\nx", closed=True) is None


def test_an_answer_to_head_has_no_body_whatever_its_fields_say() -> None:
    assert read(OK + b"Content-Length: 5\r\n\r\n", head_only=True) == ([200], b"", b"")


def test_what_is_behind_an_answer_is_no_part_of_it() -> None:
    assert read(OK + b"Content-Length: 1\r\n\r\nxyz") == ([200], b"x", b"yz")


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", id="bare LF"),
        pytest.param(b"HTTP/2 200\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 20 OK\r\n\r\n", id="two digits"),
        pytest.param(b"HTTP/1.1 099 X\r\n\r\n", id="a status below 100"),
        pytest.param(b"HTTP/1.1 200 O\x00K\r\n\r\n", id="NUL in the reason"),
        pytest.param(OK + b"X: a\rb\r\n\r\n", id="bare CR"),
        pytest.param(OK + b"X: a\x00\r\n\r\n", id="NUL"),
        pytest.param(OK + b"X: a\r\n b\r\n\r\n", id="folded"),
        pytest.param(OK + b"X : a\r\n\r\n", id="space before the colon"),
        pytest.param(OK + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", id="length twice"),
        pytest.param(OK + b"Content-Length: 1, 1\r\n\r\nx", id="a list of lengths"),
        pytest.param(OK + b"Content-Length: +1\r\n\r\nx", id="signed length"),
        pytest.param(
            OK + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", id="length and chunks"
        ),
        pytest.param(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n", id="another coding"),
        pytest.param(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", id="chunks in 1.0"),
        pytest.param(OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", id="no chunk"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\n\r\n", id="101"),
        pytest.param(b"HTTP/1.1 199 ?\r\n\r\n", id="an unknown interim answer"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 20_000, id="endless interim answers"),
        pytest.param(OK + b"X: " + b"x" * MAX_ANSWER_SECTION, id="a head without end"),
        pytest.param(b"SSH-2.0-OpenSSH", id="another protocol"),
    ],
)
@pytest.mark.parametrize("size", [1, 1 << 30])
def test_what_can_be_read_in_two_ways_is_no_answer(raw: bytes, size: int) -> None:
    size = min(size, len(raw)) if len(raw) < 2000 else len(raw)
    with pytest.raises(FramingError):
        read(*(raw[at : at + size] for at in range(0, len(raw), size)))


def test_framing_says_how_the_body_will_end() -> None:
    for fields, framing in (
        (b"Content-Length: 3\r\n", Framing.LENGTH),
        (b"Transfer-Encoding: chunked\r\n", Framing.CHUNKED),
        (b"", Framing.CLOSE),
        (b"Content-Length: 0\r\n", Framing.NONE),
    ):
        framer = AnswerFramer(head_only=False)
        framer.feed(OK + fields + b"\r\n")
        head = framer.next_head()
        assert head is not None
        assert head.framing is framing


@pytest.mark.parametrize(("filler", "is_read"), [(-1000, True), (1000, False)])
@pytest.mark.parametrize("part", ["head", "trailers"])
def test_a_head_and_the_trailers_of_an_answer_have_the_same_limit(
    part: str, filler: int, *, is_read: bool
) -> None:
    # A whole answer in one read had no limit on its head; its trailers had that of requests.
    large = b"X: " + b"x" * (MAX_ANSWER_SECTION + filler) + b"\r\n"
    if part == "head":
        raw = OK + b"Content-Length: 2\r\n" + large + b"\r\nok"
        assert (PlainAnswers().whole(raw) is not None) is is_read
    else:
        raw = OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n" + large + b"\r\n"
    if is_read:
        assert read(raw) == ([200], b"ok", b"")
    else:
        with pytest.raises(FramingError):
            read(raw)
