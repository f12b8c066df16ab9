"""Where each answer begins and ends: the twin of :mod:`shim.http1.requests`.

One :class:`AnswerFramer` reads one answer: any number of interim heads, the final one, its body.
What it cannot read in exactly one way is no answer, and never goes on.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shim.http1.bodies import (
    Body,
    ChunkedBody,
    Framing,
    LengthBody,
    Piece,
    UntilClose,
    trailer_section,
)
from shim.http1.fields import Field, framing_values, parse_fields, persists
from shim.http1.grammar import FIELD_LINES, LENGTH, TEXT, FramingError
from shim.http1.plain import Borders, plain_answer
from shim.http1.section import MAX_ANSWER_SECTION, Section, SectionKind

# RFC 9112 section 4 asks for the space even without a reason; many servers leave it out.
_LINE: Final = rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: (" + TEXT + rb"))?\r\n"
_HEAD: Final = re.compile(_LINE + FIELD_LINES + rb"\r\n")
_STATUS_LINE_BEGINNING: Final = re.compile(
    rb"(?:H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01](?: (?:[1-9](?:[0-9](?:[0-9](?: "
    + TEXT
    + rb")?)?)?)?)?)?)?)?)?)?)?)?)?\r?"
)
_SECTION: Final = SectionKind(
    line=re.compile(_LINE),
    beginning=_STATUS_LINE_BEGINNING,
    limit=MAX_ANSWER_SECTION,
    too_large=lambda: FramingError(502, "Upstream's answer has too large a head"),
    wrong=lambda _: FramingError(502, "Upstream's answer is not HTTP/1.1"),
)
_TRAILERS: Final = trailer_section(MAX_ANSWER_SECTION)
# Continue, Processing, Early Hints: they have no body, whatever they say, and callers know that.
_INTERIM: Final = frozenset((100, 102, 103))
WITHOUT_BODY: Final = frozenset((204, 304))
_MOST_REMEMBERED: Final = 1024


class AnswerHead(NamedTuple):
    """The head of one answer; ``framing`` says how its body, if it has one, will end."""

    status: int
    reason: bytes
    fields: list[Field]
    framing: Framing
    length: int = 0
    keep_alive: bool = True

    @property
    def interim(self) -> bool:
        """Whether the final answer is still to come (RFC 9110 section 15.2)."""
        return self.status < 200


class AnswerFramer:
    """Reads one answer; ``head_only`` tells that it answers a HEAD (RFC 9110 section 9.3.2)."""

    def __init__(self, *, head_only: bool) -> None:
        self._head_only = head_only
        self._section = Section(_SECTION)
        self._body: Body | None = None
        self._heads = 0
        self.unread = b""
        """Bytes that have come and belong to nothing read so far."""
        self.ended = False
        """Whether the whole answer has been read."""

    @property
    def in_body(self) -> bool:
        """Whether the final head has been read, and the body's end has not."""
        return self._body is not None

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self.unread = self.unread + data if self.unread else data

    def next_head(self) -> AnswerHead | None:
        """Return the next head, interim or final, once it is whole; raise :class:`FramingError`."""
        data, self.unread = self.unread, b""
        found = self._section.add(data) if data else None
        if found is None:
            return None
        raw, self.unread = found
        self._heads += len(raw)
        if self._heads > MAX_ANSWER_SECTION:
            raise FramingError(502, "Upstream's answer has too many interim answers before it")
        head = _parse_head(raw, head_only=self._head_only)
        if head.interim:
            return head
        if head.framing is Framing.LENGTH:
            self._body = LengthBody(head.length)
        elif head.framing is Framing.CHUNKED:
            self._body = ChunkedBody(_TRAILERS)
        elif head.framing is Framing.CLOSE:
            self._body = UntilClose()
        else:
            self.ended = True
        return head

    def read_body(self) -> list[Piece]:
        """Return the content in what has come; raise :class:`FramingError`."""
        body = self._body
        assert body is not None
        data, self.unread = self.unread, b""
        content, self.unread = body.read(data)
        if body.ended:
            self._body = None
            self.ended = True
        return content

    def close(self) -> bool:
        """Take note that the connection has ended; return whether the answer is whole."""
        if isinstance(self._body, UntilClose):
            self._body = None
            self.ended = True
        return self.ended


class PlainAnswers:
    """Reads plain answers: small ones are often the same, but for the date, again and again.

    An :class:`AnswerFramer` would read the same; this is its short way.
    """

    def __init__(self) -> None:
        self._last = b""
        self._borders: Borders | None = None
        self._whole: tuple[AnswerHead, bytes] | None = None

    def borders(self, data: bytes) -> Borders | None:
        """Return what :func:`~shim.http1.plain.plain_answer` does."""
        if data != self._last:
            self._borders, self._whole = plain_answer(data), None
            self._last = data if len(data) <= _MOST_REMEMBERED else b""
        return self._borders

    def whole(self, data: bytes) -> tuple[AnswerHead, bytes] | None:
        """Return head and content of a plain answer, ``None`` if ``data`` is none."""
        borders = self.borders(data)
        if borders is None or self._whole is not None:
            return self._whole
        whole = _head_of(data, borders), data[borders.begin : borders.end]
        if self._last:
            self._whole = whole
        return whole


def _head_of(data: bytes, borders: Borders) -> AnswerHead:
    status, head_end, begin, end = borders
    line_end = data.find(b"\r\n")
    size = end - begin
    framing = Framing.CHUNKED if begin > head_end else Framing.LENGTH if size else Framing.NONE
    fields = parse_fields(data[:head_end], line_end + 2)
    length = size if framing is Framing.LENGTH else 0
    return AnswerHead(status, data[13:line_end], fields, framing, length)


def _parse_head(raw: bytes, *, head_only: bool) -> AnswerHead:
    match = _HEAD.fullmatch(raw)
    if match is None:
        raise FramingError(502, "Upstream's answer is not HTTP/1.1")
    minor, code, reason = match.groups(b"")
    fields = parse_fields(raw, raw.find(b"\n") + 1)
    status = int(code)
    lengths, codings, _, options = framing_values(fields)
    keep_alive = persists(minor, options)
    framing, length = Framing.NONE, 0
    if status < 200:
        _check_interim(status)
    else:
        _check_framing(minor, lengths, codings)
        if not head_only and status not in WITHOUT_BODY:
            framing, length = _framing_of(lengths, codings)
    return AnswerHead(status, reason, fields, framing, length, keep_alive)


def _check_interim(status: int) -> None:
    """Refuse what callers could take for a final answer (RFC 9110 section 15.2)."""
    if status == 101:
        raise FramingError(502, "Upstream switched protocols by itself")
    if status not in _INTERIM:
        raise FramingError(502, f"Upstream sent an interim answer that nobody knows: {status}")


def _check_framing(minor: bytes, lengths: list[bytes], codings: list[bytes]) -> None:
    """Refuse what ends in two places (RFC 9112 section 6.3)."""
    if codings and (minor == b"0" or len(codings) > 1 or codings[0].lower() != b"chunked"):
        raise FramingError(502, "Upstream's answer has a transfer coding other than chunked, once")
    if codings and lengths:
        raise FramingError(502, "Upstream's answer has both Transfer-Encoding and Content-Length")
    if len(lengths) > 1 or (lengths and not LENGTH.fullmatch(lengths[0])):
        raise FramingError(502, "Upstream's answer has no single Content-Length")


def _framing_of(lengths: list[bytes], codings: list[bytes]) -> tuple[Framing, int]:
    if codings:
        return Framing.CHUNKED, 0
    if not lengths:
        return Framing.CLOSE, 0
    length = int(lengths[0])
    return (Framing.LENGTH, length) if length else (Framing.NONE, 0)
