"""What holds for every message, whatever it is; an ``AssertionError`` says what does not."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from random import Random
from typing import Final

from shim.http1.answers import AnswerFramer, AnswerHead, PlainAnswers
from shim.http1.bodies import Framing
from shim.http1.fields import HOP_BY_HOP, Fields, end_to_end, field, forwarded_request
from shim.http1.grammar import FramingError
from shim.http1.plain import plain_borders, plain_fields
from shim.http1.requests import HeadParser, RequestFramer, RequestHead
from shim.route.caller import MAX_CALLER_LENGTH, identify
from shim.route.meaning import (
    OldCall,
    interpret,
    may_concern_us,
    near_miss_of,
    parse_mode,
    redact_target,
)
from shim.route.text import MOST, bounded, printable
from tests.fuzz.mutations import cut

Answered = tuple[list[AnswerHead], bytes, bytes]
Read = list[tuple[RequestHead, bytes]]
_SOURCES: Final = ("header:x-client-id", "xfcc", "jwt:sub", "user-agent", "address")
_TRUSTED: Final = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::/0"))
_CREDENTIALS: Final = (b"x-forwarded-client-cert", b"authorization", b"x-client-id", b"traceparent")


def a_request(random: Random, data: bytes) -> None:
    """Both framers, the relay's short way, the fields, the names and the meaning agree."""
    requests, status = _requests([data])
    assert (requests, status) == _requests(cut(random, data)), "cut, it is other requests"
    _plain_is_one_request(data, requests, status)
    for head, _ in requests:
        _goes_on_as_one_request(random, head)
        _names_are_safe(head.fields)
        _meaning_holds(head)


def an_answer(random: Random, data: bytes) -> None:
    """Likewise for what upstream says."""
    head_only = random.random() < 0.2
    read = _answer([data], head_only=head_only)
    assert read == _answer(cut(random, data), head_only=head_only), "cut, it is another answer"
    answers = PlainAnswers()
    whole = answers.whole(data)
    plain = answers.borders(data)
    assert (plain is None) == (whole is None)
    if plain is not None and whole is not None and not head_only:
        assert read is not None
        heads, body, rest = read
        assert [head.status for head in heads] == [plain.status]
        assert (heads[0].fields, heads[0].keep_alive) == (whole[0].fields, True)
        assert (body, rest) == (whole[1], b"")
    for head in read[0] if read else ():
        _lines_are_fields([line for _, _, line in end_to_end(head.fields)])


def some_bytes(random: Random, data: bytes) -> None:
    """What stands in a field or a target on its own."""
    name = random.choice(_CREDENTIALS)
    value = (b"Bearer " if name == b"authorization" else b"") + data
    _names_are_safe([field(name, value), field(b"x-forwarded-for", data)])
    parse_mode(data)
    assert len(bounded(printable(data))) <= MOST


def _requests(pieces: list[bytes]) -> tuple[Read, int]:
    """Return the whole requests in ``pieces``, and with which status what follows is refused."""
    framer = RequestFramer()
    read: Read = []
    head: RequestHead | None = None
    body = b""
    try:
        for piece in pieces:
            framer.feed(piece)
            while True:
                if framer.in_body:
                    body += b"".join(framer.read_body())
                    if framer.in_body:
                        break
                elif head is None and (head := framer.next_head()) is None:
                    break
                elif head is not None and head.fault is not None:
                    return read, head.fault.status
                elif not framer.in_body:
                    assert head is not None
                    read.append((head._replace(fault=None), body))
                    head, body = None, b""
    except FramingError as error:
        refused = error.status
    else:
        return read, 0
    assert 400 <= refused < 600
    return read, refused


def _plain_is_one_request(data: bytes, requests: Read, status: int) -> None:
    plain = plain_borders(data)
    if plain is None:
        return
    method, begin, end = plain
    fields = plain_fields(data[begin:end])
    if fields is None or len(data) - end != fields.length:
        return
    assert status == 0
    ((head, body),) = requests
    assert method == head.method
    assert fields.host in [value for name, value, _ in head.fields if name == b"host"]
    assert data[end:] == body
    assert head.keep_alive
    assert head.framing is not Framing.CHUNKED


def _goes_on_as_one_request(random: Random, head: RequestHead) -> None:
    """What is sent to upstream is one request, framed as the caller framed its own."""
    lines = forwarded_request(
        head.fields,
        peer=b"192.0.2.1",
        proto=b"http",
        version=b"1.1",
        host=head.authority if head.minor_version else head.authority or b"upstream",
        trusted=random.random() < 0.5,
    )
    _lines_are_fields(lines)
    again = HeadParser().parse(b"GET / HTTP/1.1\r\n" + b"".join(lines) + b"\r\n")
    assert again.framing is (Framing.NONE if head.framing is Framing.CHUNKED else head.framing)
    assert again.length == head.length
    assert not {name for name, _, _ in again.fields} & HOP_BY_HOP


def _lines_are_fields(lines: list[bytes]) -> None:
    whole = b"".join(lines)
    assert whole.endswith(b"\r\n") or not whole
    for line in whole.splitlines(keepends=True):
        assert line.endswith(b"\r\n")
        assert line.count(b"\r") == line.count(b"\n") == 1
        assert b":" in line[1:]
        assert b"\0" not in line


def _names_are_safe(fields: Fields) -> None:
    found = identify(fields, "10.0.0.1", _SOURCES, _TRUSTED)
    ipaddress.ip_address(found.client_address)
    assert found.caller.isprintable()
    assert 0 < len(found.caller) <= MAX_CALLER_LENGTH
    for text in (found.user_agent, found.request_id, found.trace_id):
        assert text is None or (text.isprintable() and len(text) <= MOST)


def _meaning_holds(head: RequestHead) -> None:
    meaning = interpret(head.method, head.target)
    line = b"%b %b HTTP/1.1\r\n" % (head.method, head.target)
    assert meaning is None or may_concern_us(line)
    for pair in _pairs(redact_target(head.target)):
        name, _, value = pair.partition("=")
        assert not value or parse_mode(f"{name}=kill".encode())[0] == "kill", pair
    if isinstance(meaning, OldCall):
        near_miss_of(meaning)
        assert head.method == b"DELETE"
        assert meaning.new_target.rpartition(b"/")[0] == head.target.split(b"#")[0].split(b"?")[0]
        # Nothing of it can end the request line early.
        assert not set(meaning.new_target) & set(b" \r\n?#")


def _pairs(target: str) -> Iterator[str]:
    _, mark, query = target.partition("?")
    if mark:
        yield from query.split("&")


def _answer(pieces: list[bytes], *, head_only: bool) -> Answered | None:
    """Return the heads, the body and what is behind it; ``None`` where it is no answer."""
    framer = AnswerFramer(head_only=head_only)
    heads: list[AnswerHead] = []
    body = b""
    try:
        for at, piece in enumerate(pieces):
            framer.feed(piece)
            while not framer.in_body and not framer.ended:
                head = framer.next_head()
                if head is None:
                    break
                heads.append(head)
            if framer.in_body:
                body += b"".join(framer.read_body())
            if framer.ended:
                return heads, body, framer.unread + b"".join(pieces[at + 1 :])
    except FramingError:
        return None
    return (heads, body, framer.unread) if framer.close() else None
