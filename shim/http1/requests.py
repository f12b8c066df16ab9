"""Where each request begins and ends, decided before any of it is acted upon.

A proxy must never see other message borders than upstream does.  :class:`RequestFramer` cuts the
bytes of one connection into heads and bodies by the strict grammar of RFC 9112 and refuses
everything that could be read in two ways.  It does no I/O, and reads one message at a time: what
is behind its end waits until the next head is asked for.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from shim.http1.bodies import Body, ChunkedBody, Framing, LengthBody, Piece, trailer_section
from shim.http1.fields import Fields, framing_values, parse_fields, persists
from shim.http1.grammar import FIELD_LINES, HOST, LENGTH, TOKEN, FramingError, LimitError
from shim.http1.section import MAX_SECTION, Section, SectionKind

_TARGET: Final = rb"[^\x00-\x20\x7f]+"
_LINE: Final = rb"(" + TOKEN + rb") (" + _TARGET + rb") HTTP/1\.([01])\r\n"
_FIELDS: Final = re.compile(FIELD_LINES + rb"\r\n")
_VERSION_BEGINNING: Final = rb"H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01]\r?)?)?)?)?)?)?)?"
_REQUEST_LINE: Final = re.compile(_LINE)
_REQUEST_LINE_BEGINNING: Final = re.compile(
    TOKEN + rb"(?: (?:" + _TARGET + rb"(?: (?:" + _VERSION_BEGINNING + rb")?)?)?)?"
)
# As somebody may have meant it: who is refused may have sent it with any white space and version.
_REFUSED_LINE: Final = re.compile(
    rb"(?!PRI )(" + TOKEN + rb")[ \t]++(?:(?i:https?)://[^/?#\x00-\x20\x7f]*+)?"
    rb"(" + _TARGET + rb"+)[ \t]++HTTP/[0-9.]++[ \t]*+\r?\n"
)
_FIELD_LINES: Final = re.compile(FIELD_LINES)
_ABSOLUTE_FORM: Final = re.compile(rb"(?i:https?)://([^/?#]+)([^#]*)")
NO_CONNECT: Final = "CONNECT is not served here: this is a gateway, not a tunnel"
TOO_SLOW_HEAD: Final = "The request's head did not arrive in time"
TOO_LARGE_HEAD: Final = f"The request's head is larger than {MAX_SECTION} bytes"
MOST_REMEMBERED: Final = 2048
"""Bytes of fields that a connection remembers; what is larger would take much room on each."""
# Each field takes some 200 bytes besides its own.
_MOST_FIELDS_REMEMBERED: Final = 64
_TRAILERS: Final = trailer_section(MAX_SECTION)
# RFC 9112 section 2.2 lets a server ignore "at least one"; more than these are no mistake.
_MOST_EMPTY_LINES: Final = 16


class RequestHead(NamedTuple):
    """The head of one request, as its sender meant it.

    ``target`` is in origin-form (or ``*``), ``authority`` that of an absolute-form target.
    ``length`` is in bytes where ``framing`` is ``LENGTH``.  ``fault`` says why the request is not
    taken, where the head shows it.  What came over HTTP/2 (``major_version``) is here as HTTP/1.1
    would have it.
    """

    method: bytes
    target: bytes
    minor_version: int
    authority: bytes | None
    fields: Fields
    framing: Framing
    length: int
    keep_alive: bool
    fault: FramingError | None = None
    major_version: int = 1

    @property
    def version(self) -> bytes:
        """The version of HTTP that it came over, as Via has it."""
        return b"2.0" if self.major_version == 2 else b"1.%d" % self.minor_version

    @property
    def has_body(self) -> bool:
        """Whether a body follows, of one byte at least where its length is known."""
        return self.framing is not Framing.NONE


NO_HEAD: Final = RequestHead(b"", b"", 1, None, [], Framing.NONE, 0, keep_alive=False)
"""Stands for a head of which nobody knows what it was; it has no method."""


class RequestFramer:
    """Cuts one connection's bytes into messages.

    Behind a head or a body whose bytes are not certain it is of no use.  ``max_body`` is in bytes;
    ``None`` is no limit.
    """

    def __init__(self, max_body: int | None = None) -> None:
        self._max_body = max_body
        self._unread = b""
        self._section = Section(_REQUEST_SECTION)
        self._parser = HeadParser()
        self._body: Body | None = None
        self._size = 0
        self.empty_lines = 0
        """How many have come since the last request."""

    def feed(self, data: bytes) -> None:
        """Take bytes in."""
        self._unread = self._unread + data if self._unread else data

    @property
    def waiting(self) -> int:
        """How many bytes wait to be read."""
        return len(self._unread)

    def take_back(self) -> bytes:
        """Return what waits to be read, and forget it."""
        data, self._unread = self._unread, b""
        return data

    @property
    def in_head(self) -> bool:
        """Whether a head has begun to arrive and is not there yet."""
        return len(self._section) > 0

    @property
    def in_body(self) -> bool:
        """Whether the end of the message's body has not been read."""
        return self._body is not None

    def next_head(self) -> RequestHead | None:
        """Return the next request's head once it is there as a whole.

        One that is not certain is there as soon as that shows, as :meth:`give_up` has it.
        """
        raw: bytes | None = None
        try:
            raw = self._next_section()
            if raw is None:
                return None
            head = self._parser.parse(raw)
        except FramingError as error:
            return _known_of(raw or self._section.begun, error)
        self._size = 0
        if head.framing is Framing.LENGTH:
            self._body = LengthBody(head.length)
            if self._max_body is not None and head.length > self._max_body:
                return head._replace(fault=too_large(self._max_body))
        elif head.framing is Framing.CHUNKED:
            self._body = ChunkedBody(_TRAILERS)
        return head

    def give_up(self, error: FramingError) -> RequestHead:
        """Return what has come of a head, which is refused with ``error``.

        It has the fields up to the first that is none, and no body.  It is :data:`NO_HEAD` but for
        its fault where not even its first line has come, or is one.
        """
        return _known_of(self._section.begun, error)

    def _next_section(self) -> bytes | None:
        data, self._unread = self._unread, b""
        if not self._section:
            data = self._skip_empty_lines(data)
            if data == b"\r":
                # Half of another empty line, or of nothing.
                self._unread = data
                return None
        found = self._section.add(data) if data else None
        if found is None:
            return None
        self.empty_lines = 0
        raw, self._unread = found
        return raw

    def _skip_empty_lines(self, data: bytes) -> bytes:
        while data.startswith(b"\r\n"):
            data = data[2:]
            self.empty_lines += 1
            if self.empty_lines > _MOST_EMPTY_LINES:
                raise FramingError(400, "Nothing but empty lines comes where a request should")
        return data

    def read_body(self) -> list[Piece]:
        """Return the content in what has come; raise :class:`FramingError`.

        :attr:`in_body` tells whether there is more to come.
        """
        body = self._body
        assert body is not None
        data, self._unread = self._unread, b""
        content, self._unread = body.read(data)
        self._size += sum(map(len, content))
        if self._max_body is not None and self._size > self._max_body:
            raise too_large(self._max_body)
        if body.ended:
            self._body = None
        return content


def _known_of(raw: bytes, error: FramingError) -> RequestHead:
    line = _REFUSED_LINE.match(raw)
    if line is None:
        return NO_HEAD._replace(fault=error)
    method, target = line.groups()
    known = _FIELD_LINES.match(raw, line.end())
    fields = parse_fields(raw[: known.end()], line.end()) if known else []
    return NO_HEAD._replace(method=method, target=target, fields=fields, fault=error)


def may_be_remembered(fields: Fields, size: int) -> bool:
    """Tell whether a connection may keep ``fields`` of ``size`` bytes from request to request."""
    return size <= MOST_REMEMBERED and len(fields) <= _MOST_FIELDS_REMEMBERED


def too_large(limit: int) -> LimitError:
    """Say that a body is over the limit."""
    return LimitError(413, f"The request's body is larger than {limit} bytes (--max-body)")


class _Said(NamedTuple):
    """What the fields of a head say, besides themselves."""

    fields: Fields
    framing: Framing
    length: int
    keep_alive: bool


class HeadParser:
    """Parses the heads of one connection: what a caller always sends is read once."""

    def __init__(self) -> None:
        self._minor = self._raw_fields = b""
        self._said: _Said | None = None

    def parse(self, raw: bytes) -> RequestHead:
        """Parse one whole head, which ends with its empty line; raise what is wrong with it."""
        line_end = raw.find(b"\n") + 1
        match = _REQUEST_LINE.fullmatch(raw, 0, line_end)
        if match is None:
            raise what_is_wrong(raw)
        method, target, minor = match.groups()
        raw_fields = raw[line_end:]
        said = self._said
        if said is None or raw_fields != self._raw_fields or minor != self._minor:
            said = _read_fields(raw, line_end, minor)
            if may_be_remembered(said.fields, len(raw_fields)):
                self._minor, self._raw_fields, self._said = minor, raw_fields, said
        if method == b"CONNECT":
            raise FramingError(405, NO_CONNECT)
        authority = None
        if not target.startswith(b"/"):
            target, authority = _normalise_target(method, target)
        return RequestHead(method, target, int(minor), authority, *said)


def _read_fields(raw: bytes, start: int, minor: bytes) -> _Said:
    if not _FIELDS.fullmatch(raw, start):
        raise what_is_wrong(raw)
    fields = parse_fields(raw, start)
    lengths, codings, hosts, options = framing_values(fields)
    problem = _framing_problem(minor, lengths, codings, hosts)
    if problem:
        raise FramingError(400, problem)
    length = int(lengths[0]) if lengths else 0
    framing = Framing.CHUNKED if codings else Framing.LENGTH if length else Framing.NONE
    return _Said(fields, framing, length, persists(minor, options))


def _framing_problem(
    minor: bytes, lengths: list[bytes], codings: list[bytes], hosts: list[bytes]
) -> str | None:
    """Return what makes the framing or the host ambiguous (RFC 9112 sections 3.2, 6.1, 6.3)."""
    if (hosts or minor == b"1") and (problem := host_problem(hosts)):
        return problem
    if not codings and not lengths:
        return None
    if codings and lengths:
        return "Transfer-Encoding and Content-Length exclude each other"
    if codings and minor == b"0":
        return "An HTTP/1.0 request cannot have a Transfer-Encoding"
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        return "The only Transfer-Encoding understood here is chunked, once"
    return length_problem(lengths)


def host_problem(hosts: list[bytes]) -> str | None:
    """Return what makes the values of Host uncertain (RFC 9112 section 3.2)."""
    if len(hosts) != 1:
        return f"A request must have one Host field; this one has {len(hosts)}"
    if not HOST.fullmatch(hosts[0]):
        return "The Host field is not a host with an optional port"
    return None


def length_problem(lengths: list[bytes]) -> str | None:
    """Return what makes the values of Content-Length uncertain (RFC 9112 section 6.3)."""
    if len(lengths) > 1:
        return "A request must not have more than one Content-Length"
    if lengths and not LENGTH.fullmatch(lengths[0]):
        return "Content-Length must be a decimal number and nothing else"
    return None


def _normalise_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Bring an absolute-form target into origin-form (RFC 9112 sections 3.2.2 and 3.2.4)."""
    if target == b"*" and method == b"OPTIONS":
        return target, None
    match = _ABSOLUTE_FORM.fullmatch(target)
    if match is None:
        raise FramingError(400, "The request target must begin with / or be an http or https URI")
    # RFC 9110 section 4.2: a host must be there (4.2.1), and userinfo is a sign of deceit (4.2.4).
    if match[1].startswith(b":") or not HOST.fullmatch(match[1]):
        raise FramingError(400, "The request target names no host with an optional port")
    authority, rest = match.groups()
    if not rest and method == b"OPTIONS":
        return b"*", authority
    return (rest if rest.startswith(b"/") else b"/" + rest), authority


def what_is_wrong(raw: bytes) -> FramingError:
    """Name the first thing in a head, or in its beginning, that the grammar does not allow."""
    line, newline, fields = raw.partition(b"\n")
    if (newline and not line.endswith(b"\r")) or b"\n" in fields.replace(b"\r\n", b""):
        return FramingError(400, "A line ends with a bare LF; lines end with CR LF")
    if line.startswith(b"PRI * HTTP/2"):
        return FramingError(400, "HTTP/2 is spoken from the first byte on, or not at all")
    version = line.rpartition(b" ")[2].rstrip(b"\r")
    if not _REQUEST_LINE.match(raw):
        if re.fullmatch(rb"HTTP/[0-9.]+", version) and version not in (b"HTTP/1.0", b"HTTP/1.1"):
            return FramingError(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here")
        message = "The request line is not METHOD, space, target, space, HTTP/1.1"
        return FramingError(400, message)
    if re.search(rb"\r\n[ \t]", raw):
        return FramingError(400, "A field is folded over two lines; put it on one")
    if re.search(rb"\r(?!\n)|\x00", raw):
        return FramingError(400, "A field holds a bare CR or a NUL")
    return FramingError(400, "A field line is not NAME, colon, value without control characters")


_REQUEST_SECTION: Final = SectionKind(
    line=_REQUEST_LINE,
    beginning=_REQUEST_LINE_BEGINNING,
    limit=MAX_SECTION,
    too_large=lambda: FramingError(431, TOO_LARGE_HEAD),
    wrong=what_is_wrong,
)
