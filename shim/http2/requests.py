"""What the fields of a request over HTTP/2 mean (RFC 9113 section 8), as HTTP/1.1 would say it.

What HTTP/1.1 refuses is refused in the same words, so that nothing reaches upstream by one version
of HTTP that does not by the other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

from shim.http1.bodies import Framing
from shim.http1.fields import Field, field
from shim.http1.grammar import TEXT, TOKEN, FramingError
from shim.http1.requests import (
    NO_CONNECT,
    NO_HEAD,
    TOO_LARGE_HEAD,
    RequestHead,
    host_problem,
    length_problem,
    too_large,
)
from shim.http1.section import MAX_SECTION

Pair = tuple[bytes, bytes]
"""A field as it came: name and value."""
TOO_SHORT: Final = "The body is shorter than its Content-Length"

_NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]++")
# RFC 9113 section 8.2.1: no white space around, besides what HTTP/1.1 forbids.
_VALUE: Final = re.compile(rb"(?![ \t])" + TEXT + rb"(?<![ \t])")
_METHOD: Final = re.compile(TOKEN)
_TARGET: Final = re.compile(rb"[^\x00-\x20\x7f]++")
_PSEUDO: Final = frozenset((b":method", b":scheme", b":authority", b":path"))
_SCHEMES: Final = frozenset((b"http", b"https"))
# Section 8.2.2: these say something of a connection, and HTTP/2 has none to say it of.
_OF_A_CONNECTION: Final = frozenset(
    (b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
# Of a field that is a line of its own: ": " and CR LF.
_LINE_OVERHEAD: Final = 4


class _Read(NamedTuple):
    """The fields of a head up to the first that may not be there, and what is wrong with that."""

    pseudo: dict[bytes, bytes]
    fields: list[Field]
    problem: FramingError | None


def read_head(pairs: Iterable[Pair], *, ended: bool, max_body: int | None) -> RequestHead:
    """Return the head of a request; its ``fault`` says what is wrong with it, if anything is.

    ``ended`` tells that there is no body, ``max_body`` is the largest in bytes.  It is
    :data:`~shim.http1.requests.NO_HEAD` but for that where not even method and path are certain.
    """
    pseudo, fields, problem = _read(pairs)
    method = pseudo.get(b":method", b"")
    connects = method == b"CONNECT"
    target = pseudo.get(b":authority" if connects else b":path", b"")
    if not _METHOD.fullmatch(method) or not _TARGET.fullmatch(target):
        problem = problem or FramingError(400, "A request must have one :method and one :path")
        return NO_HEAD._replace(fault=problem, major_version=2)
    authority = pseudo.get(b":authority")
    problem = (
        problem
        or (FramingError(405, NO_CONNECT) if connects else None)
        or _problem(method, target, pseudo.get(b":scheme"))
        or _host_problem(authority, [value for name, value, _ in fields if name == b"host"])
    )
    if authority is not None:
        rest = [one for one in fields if one[0] != b"host"]
        fields = [field(b"Host", authority), *rest]
    lengths = [value for name, value, _ in fields if name == b"content-length"]
    problem = problem or _length_problem(lengths, ended=ended)
    head = RequestHead(
        method,
        target,
        1,
        None,
        _one_cookie(fields),
        Framing.NONE,
        0,
        keep_alive=True,
        fault=problem,
        major_version=2,
    )
    if problem is not None or ended:
        return head
    if not lengths:
        return head._replace(framing=Framing.CHUNKED)
    length = int(lengths[0])
    if max_body is not None and length > max_body:
        head = head._replace(fault=too_large(max_body))
    return head._replace(framing=Framing.LENGTH if length else Framing.NONE, length=length)


def trailer_problem(pairs: Iterable[Pair]) -> FramingError | None:
    """Return what is wrong with a trailer section; trailers themselves go no further."""
    pseudo, _, problem = _read(pairs)
    if pseudo:
        return FramingError(400, "A trailer section must have no pseudo-header field")
    return problem


def _read(pairs: Iterable[Pair]) -> _Read:
    """Sort the fields of a section."""
    pseudo: dict[bytes, bytes] = {}
    fields: list[Field] = []
    size = 0
    for name, value in pairs:
        size += len(name) + len(value) + _LINE_OVERHEAD
        if size > MAX_SECTION:
            return _Read(pseudo, fields, FramingError(431, TOO_LARGE_HEAD))
        wrong = _field_problem(name, value)
        if wrong is None and name.startswith(b":"):
            if name not in _PSEUDO:
                wrong = "A pseudo-header field is none that HTTP/2 has for requests"
            elif name in pseudo or fields:
                wrong = "Pseudo-header fields must come once each, before all other fields"
        if wrong is not None:
            return _Read(pseudo, fields, FramingError(400, wrong))
        if name.startswith(b":"):
            pseudo[name] = value
        else:
            fields.append(field(name, value))
    return _Read(pseudo, fields, None)


def _field_problem(name: bytes, value: bytes) -> str | None:
    if not _NAME.fullmatch(name, name.startswith(b":")):
        return "A field's name is not in lower case, or no name"
    if not _VALUE.fullmatch(value):
        return "A field's value holds control characters, or white space around it"
    if name in _OF_A_CONNECTION:
        return f"HTTP/2 has no field {name.decode()}"
    if name == b"te" and value.lower() != b"trailers":
        return "The field te may say nothing but trailers"
    return None


def _problem(method: bytes, target: bytes, scheme: bytes | None) -> FramingError | None:
    if scheme not in _SCHEMES:
        return FramingError(400, "The :scheme must be http or https")
    if not target.startswith(b"/") and (method, target) != (b"OPTIONS", b"*"):
        return FramingError(400, "The :path must begin with /")
    return None


def _host_problem(authority: bytes | None, hosts: list[bytes]) -> FramingError | None:
    """Return what makes the host uncertain (RFC 9113 section 8.3.1)."""
    problem = host_problem(hosts if authority is None or len(hosts) > 1 else [authority])
    differ = authority is not None and hosts and hosts[0].lower() != authority.lower()
    if problem is None and differ:
        problem = "The fields :authority and host name different hosts"
    return None if problem is None else FramingError(400, problem)


def _length_problem(lengths: list[bytes], *, ended: bool) -> FramingError | None:
    problem = length_problem(lengths)
    if problem is None and ended and lengths and int(lengths[0]):
        problem = TOO_SHORT
    return None if problem is None else FramingError(400, problem)


def _one_cookie(fields: list[Field]) -> list[Field]:
    """Join what HTTP/2 may have split (RFC 9113 section 8.2.3)."""
    cookies = [value for name, value, _ in fields if name == b"cookie"]
    if len(cookies) < 2:
        return fields
    at = next(at for at, one in enumerate(fields) if one[0] == b"cookie")
    rest = [one for one in fields if one[0] != b"cookie"]
    return [*rest[:at], field(b"cookie", b"; ".join(cookies)), *rest[at:]]
