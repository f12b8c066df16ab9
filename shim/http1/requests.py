"""Where each request begins and ends, decided before any of it is acted upon.

A proxy must never see other message borders than upstream does.  :class:`RequestFramer` cuts the
bytes of one downstream connection into heads and bodies by the strict grammar of RFC 9112 and
refuses everything that could be read in two ways.  It does no I/O: bytes go in, :class:`Head`, body
bytes and :class:`Refusal` come out.

llhttp, behind aiohttp's server, then reads the bodies once more, from heads that hold nothing but
their framing: it has no name for many methods, refuses fields that come twice, and switches
protocols by itself, none of which a proxy may do.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from shim.http1.fields import tokens

MAX_HEAD: Final = 64 * 1024
_MAX_CHUNK_LINE: Final = 4096
_MAX_LENGTH_DIGITS: Final = 18

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIELD_LINES: Final = rb"(?:" + _TOKEN + rb":[^\x00-\x08\x0a-\x1f\x7f]*\r\n)*"
_HEAD: Final = re.compile(
    rb"(" + _TOKEN + rb") ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n" + _FIELD_LINES + rb"\r\n"
)
_FIELD_BEGINNING: Final = rb"(?:" + _TOKEN + rb"(?::[^\x00-\x08\x0a-\x1f\x7f]*)?)?\r?"
# What may still become a head: a request line under way, or fields up to a line under way.
_VERSION_BEGINNING: Final = rb"H(?:T(?:T(?:P(?:/(?:1(?:\.(?:[01]\r?)?)?)?)?)?)?)?"
_BEGINNING: Final = re.compile(
    rb"\r?"
    rb"|" + _TOKEN + rb"(?: (?:[^\x00-\x20\x7f]+(?: (?:" + _VERSION_BEGINNING + rb")?)?)?)?"
    rb"|" + _TOKEN + rb" [^\x00-\x20\x7f]+ HTTP/1\.[01]\r\n" + _FIELD_LINES + _FIELD_BEGINNING
)
_REQUEST_LINE: Final = re.compile(rb"(" + _TOKEN + rb") ([^\x00-\x20\x7f]+) HTTP/1\.([01])\r\n")
_TRAILERS_BEGINNING: Final = re.compile(_FIELD_LINES + _FIELD_BEGINNING)
_TRAILERS: Final = re.compile(_FIELD_LINES + rb"\r\n")
# Only for heads that the grammar has let through; white space around a value is not part of it.
_FIELD: Final = re.compile(rb"([^:\r\n]+):[ \t]*((?:[^\r]*[^\r \t])?)[ \t]*\r\n")
_HOST: Final = re.compile(rb"[0-9A-Za-z._~!$&'()*+;=%:\[\]-]*")
_CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\x00-\x08\x0a-\x1f\x7f]*)?\r\n")
_CHUNK_LINE_BEGINNING: Final = re.compile(
    rb"[0-9A-Fa-f]{1,16}[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?\r?\Z"
)
_ABSOLUTE_FORM: Final = re.compile(rb"(?i:https?)://([^/?#]+)([^#]*)")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message was refused: the status to answer with, and a sentence for its sender."""

    status: int
    message: str


@dataclass(slots=True)
class Head:
    """The head of one request, as its sender meant it.

    ``target`` is in origin-form (or ``*``), ``authority`` that of an absolute-form target.
    ``fields`` are the header fields in order, without the white space around values.  ``shown`` is
    what the parser gets to see.  ``broken`` is set when the body turns out to be unframeable.
    """

    method: bytes
    target: bytes
    minor_version: int
    authority: bytes | None
    fields: list[tuple[bytes, bytes]]
    has_body: bool
    content_length: int | None
    keep_alive: bool
    shown: bytes
    broken: Refusal | None = field(default=None)


_BAD_TRAILERS: Final = Refusal(400, "The trailer section has a line that is no field line")


class RequestFramer:
    """Cuts one connection's bytes into messages; after a refusal it takes nothing more."""

    def __init__(self, max_head: int = MAX_HEAD) -> None:
        self._max_head = max_head
        self._buffer = b""
        self._scanned = 0
        self._state = self._read_head
        self._left = 0
        self._head: Head | None = None
        self._trailers = 0
        self.refused = False

    @property
    def in_head(self) -> bool:
        """Whether a head has begun to arrive and is not there yet."""
        return self._head is None and bool(self._buffer) and not self.refused

    @property
    def body_broken(self) -> bool:
        """Whether the refusal concerns the body of the message under way."""
        return self.refused and self._head is not None

    def stop(self) -> bool:
        """Take nothing more; return whether that cuts off a head."""
        cut_off = self.in_head
        self.refused = True
        return cut_off

    def feed(self, data: bytes) -> Iterator[Head | bytes | Refusal]:
        """Yield the parts that ``data`` completes, in order; heads come whole, bodies as they are.

        A :class:`Refusal` is the last thing yielded.  One that concerns the body of the message
        under way is also left on its :attr:`Head.broken`.
        """
        if self.refused:
            return
        if self._buffer:
            data, self._buffer = self._buffer + data, b""
        while data and not self.refused:
            part, data = self._state(data)
            if part is None:
                self._buffer = data
                return
            if isinstance(part, Refusal):
                self.refused = True
                if self._head is not None:
                    self._head.broken = part
            if part != b"":
                yield part

    def _read_head(self, data: bytes) -> tuple[Head | bytes | Refusal | None, bytes]:
        # RFC 9112 section 2.2: an empty line before a request line is ignored.
        while data.startswith(b"\r\n"):
            data = data[2:]
        end = data.find(b"\r\n\r\n", max(0, self._scanned - 3))
        if end < 0:
            self._scanned = len(data)
            if len(data) > self._max_head:
                return self._too_large(), b""
            if not _BEGINNING.fullmatch(data):
                # No more bytes can make a request of it, so none are waited for.
                return _what_is_wrong(data), b""
            return None, data
        self._scanned = 0
        end += 4
        if end > self._max_head:
            return self._too_large(), b""
        raw, rest = (data, b"") if end == len(data) else (data[:end], data[end:])
        head = parse_head(raw)
        if isinstance(head, Refusal):
            return head, b""
        if head.has_body:
            self._head = head
            if head.content_length is None:
                self._state = self._read_chunk_line
            else:
                self._left = head.content_length
                self._state = self._read_length
        return head, rest

    def _too_large(self) -> Refusal:
        return Refusal(431, f"The request's head is larger than {self._max_head} bytes")

    def _read_length(self, data: bytes) -> tuple[bytes, bytes]:
        part, rest = data[: self._left], data[self._left :]
        self._left -= len(part)
        if not self._left:
            self._end_of_message()
        return part, rest

    def _read_chunk_line(self, data: bytes) -> tuple[bytes | Refusal | None, bytes]:
        line = _CHUNK_LINE.match(data)
        if line is None:
            if (
                len(data) > _MAX_CHUNK_LINE
                or b"\n" in data
                or not _CHUNK_LINE_BEGINNING.match(data)
            ):
                return Refusal(
                    400, "A chunk's size line is not as RFC 9112 section 7.1 has it"
                ), b""
            return None, data
        size = int(line[1], 16)
        if size >= 1 << 62:
            return Refusal(400, "A chunk is larger than any message may be"), b""
        if size:
            self._left = size
            self._state = self._read_chunk_data
        else:
            self._trailers = 0
            self._state = self._read_trailers
        # RFC 9112 section 7.1.1: extensions are for this hop alone, and ignored.
        return b"%x\r\n" % size, data[line.end() :]

    def _read_chunk_data(self, data: bytes) -> tuple[bytes, bytes]:
        part, rest = data[: self._left], data[self._left :]
        self._left -= len(part)
        if not self._left:
            self._state = self._read_chunk_end
        return part, rest

    def _read_chunk_end(self, data: bytes) -> tuple[bytes | Refusal | None, bytes]:
        if data.startswith(b"\r\n"):
            self._state = self._read_chunk_line
            return b"\r\n", data[2:]
        if data == b"\r":
            return None, data
        return Refusal(400, "A chunk does not end where its size says"), b""

    def _read_trailers(self, data: bytes) -> tuple[bytes | Refusal | None, bytes]:
        end = 2 if data.startswith(b"\r\n") else data.find(b"\r\n\r\n") + 4
        if end < 4 and not data.startswith(b"\r\n"):
            if len(data) > self._max_head:
                return Refusal(431, "The request's trailer section is too large"), b""
            if not _TRAILERS_BEGINNING.fullmatch(data):
                return _BAD_TRAILERS, b""
            return None, data
        if not _TRAILERS.fullmatch(data, 0, end):
            return _BAD_TRAILERS, b""
        self._end_of_message()
        # Trailers are dropped (RFC 9110 section 6.5.1 lets an intermediary), the end is not.
        return b"\r\n", data[end:]

    def _end_of_message(self) -> None:
        self._head = None
        self._state = self._read_head


def parse_head(raw: bytes) -> Head | Refusal:
    """Parse one whole request head, which ends with its empty line, or say why it is refused."""
    match = _HEAD.fullmatch(raw)
    if match is None:
        return _what_is_wrong(raw)
    method, target, minor = match.groups()
    fields = _FIELD.findall(raw, match.end(3) + 2)
    lengths, codings, hosts, options = _about_framing(fields)
    problem = _framing_problem(minor, lengths, codings, hosts)
    if problem:
        return Refusal(400, problem)
    if method == b"CONNECT":
        return Refusal(405, "CONNECT is not served here: this is a gateway, not a tunnel")
    authority = None
    if not target.startswith(b"/"):
        form = _normalise_target(method, target)
        if isinstance(form, Refusal):
            return form
        target, authority = form
    length = int(lengths[0]) if lengths else None
    keep_alive = minor == b"1"
    if options:
        said = tokens((options,))
        keep_alive = b"close" not in said and (keep_alive or b"keep-alive" in said)
    framing = b"Transfer-Encoding: chunked\r\n" if codings else b""
    if length:
        framing = b"Content-Length: %d\r\n" % length
    return Head(
        method=method,
        target=target,
        minor_version=int(minor),
        authority=authority,
        fields=fields,
        has_body=bool(framing),
        content_length=length,
        keep_alive=keep_alive,
        shown=b"POST / HTTP/1.1\r\nHost: restate\r\n" + framing + b"\r\n",
    )


def _about_framing(
    fields: list[tuple[bytes, bytes]],
) -> tuple[list[bytes], list[bytes], list[bytes], bytes]:
    """Return the values of Content-Length, Transfer-Encoding, Host, and Connection joined."""
    lengths: list[bytes] = []
    codings: list[bytes] = []
    hosts: list[bytes] = []
    options = b""
    for name, value in fields:
        # These four differ in length, which is cheaper to ask than their names.
        kind = len(name)
        if kind == 4 and name.lower() == b"host":
            hosts.append(value)
        elif kind == 14 and name.lower() == b"content-length":
            lengths.append(value)
        elif kind == 17 and name.lower() == b"transfer-encoding":
            codings.append(value)
        elif kind == 10 and name.lower() == b"connection":
            options += b"," + value
    return lengths, codings, hosts, options


def _framing_problem(
    minor: bytes, lengths: list[bytes], codings: list[bytes], hosts: list[bytes]
) -> str | None:
    """Return what makes the framing or the host ambiguous (RFC 9112 sections 3.2, 6.1, 6.3)."""
    if len(hosts) != 1 and (hosts or minor == b"1"):
        return f"A request must have one Host field; this one has {len(hosts)}"
    if hosts and not _HOST.fullmatch(hosts[0]):
        return "The Host field is not a host with an optional port"
    if not codings and not lengths:
        return None
    if codings and lengths:
        return "Transfer-Encoding and Content-Length exclude each other"
    if codings and minor == b"0":
        return "An HTTP/1.0 request cannot have a Transfer-Encoding"
    if codings and (len(codings) > 1 or codings[0].lower() != b"chunked"):
        return "The only Transfer-Encoding understood here is chunked, once"
    if len(lengths) > 1:
        return "A request must not have more than one Content-Length"
    if lengths and not (lengths[0].isdigit() and len(lengths[0]) <= _MAX_LENGTH_DIGITS):
        return "Content-Length must be a decimal number and nothing else"
    return None


def _normalise_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None] | Refusal:
    """Bring an absolute-form target into origin-form (RFC 9112 sections 3.2.2 and 3.2.4)."""
    if target == b"*" and method == b"OPTIONS":
        return target, None
    match = _ABSOLUTE_FORM.fullmatch(target)
    # Userinfo in an http URI is refused: RFC 9110 section 4.2.4 calls it a sign of deceit.
    if match is None or not _HOST.fullmatch(match[1]):
        return Refusal(400, "The request target must begin with / or be an http or https URI")
    authority, rest = match.groups()
    if not rest and method == b"OPTIONS":
        return b"*", authority
    return (rest if rest.startswith(b"/") else b"/" + rest), authority


def _what_is_wrong(raw: bytes) -> Refusal:
    """Name the first thing in a head that the grammar does not allow."""
    line, _, fields = raw.partition(b"\n")
    if not line.endswith(b"\r") or b"\n" in fields.replace(b"\r\n", b""):
        return Refusal(400, "A line ends with a bare LF; lines end with CR LF")
    if line.startswith(b"PRI * HTTP/2"):
        return Refusal(400, "HTTP/2 is not spoken here; use HTTP/1.1")
    version = line.rpartition(b" ")[2].rstrip(b"\r")
    if not _REQUEST_LINE.match(raw):
        if re.fullmatch(rb"HTTP/[0-9.]+", version) and version not in (b"HTTP/1.0", b"HTTP/1.1"):
            return Refusal(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here")
        return Refusal(400, "The request line is not METHOD, space, target, space, HTTP/1.1")
    if re.search(rb"\r\n[ \t]", raw):
        return Refusal(400, "A field is folded over two lines; put it on one")
    if re.search(rb"\r(?!\n)|\x00", raw):
        return Refusal(400, "A field holds a bare CR or a NUL")
    return Refusal(400, "A field line is not NAME, colon, value without control characters")
