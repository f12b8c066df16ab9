"""Header fields on their way through: what stays on this hop, what is added.

A field is its name in lower case, its value without the white space around, and its line as it
came, so that what goes on is what came.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Final

from shim.http1.grammar import FIELD

Field = tuple[bytes, bytes, bytes]
Fields = Sequence[Field]

# RFC 9110 section 7.6.1 and, for the names of before, RFC 2616 section 13.5.1.
HOP_BY_HOP: Final = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# A sender must not name these in Connection; one that does must not change what a message means.
_NEVER_NOMINATED: Final = frozenset((b"content-length", b"host", b"via"))
_SINGLE_FORWARDED: Final = frozenset((b"x-forwarded-proto", b"x-forwarded-host"))

_NOTHING: Final[frozenset[bytes]] = frozenset()
VIA_PSEUDONYM: Final = b"restate-shim"


def field(name: bytes, value: bytes) -> Field:
    """Return a field of our own making."""
    return name.lower(), value, b"%s: %s\r\n" % (name, value)


def parse_fields(raw: bytes, start: int) -> list[Field]:
    """Return the fields of a head that the grammar has let through, from ``start`` on."""
    return [(name.lower(), value, line) for line, name, value in FIELD.findall(raw, start)]


def find(fields: Fields, name: bytes) -> bytes | None:
    """Return the first value of the field ``name`` (lower case), or ``None``."""
    for own, value, _ in fields:
        if own == name:
            return value
    return None


def framing_values(fields: Fields) -> tuple[list[bytes], list[bytes], list[bytes], list[bytes]]:
    """Return the values of Content-Length, Transfer-Encoding, Host and Connection."""
    lengths: list[bytes] = []
    codings: list[bytes] = []
    hosts: list[bytes] = []
    options: list[bytes] = []
    of = {
        b"content-length": lengths,
        b"transfer-encoding": codings,
        b"host": hosts,
        b"connection": options,
    }
    for name, value, _ in fields:
        if name in of:
            of[name].append(value)
    return lengths, codings, hosts, options


def persists(minor_version: bytes, options: list[bytes]) -> bool:
    """Tell from the values of Connection whether one may go on (RFC 9112 section 9.3)."""
    if not options:
        return minor_version == b"1"
    said = tokens(options)
    return b"close" not in said and (minor_version == b"1" or b"keep-alive" in said)


def tokens(listed: Iterable[bytes]) -> set[bytes]:
    """Return the lower-case members of comma-separated field values."""
    return {token.strip().lower() for value in listed for token in value.split(b",")}


def forwarded_for(peer: str) -> bytes:
    """Return what ``X-Forwarded-For`` says of a peer; one on a Unix socket has no address."""
    return b"unknown" if peer == "unix" else peer.encode()


def added_lines(*, peer: bytes, proto: bytes, host: bytes, version: bytes = b"1.1") -> bytes:
    """Return the lines that a forwarded request gets at its end; ``host`` may be empty."""
    lines = b"X-Forwarded-For: %s\r\nX-Forwarded-Proto: %s\r\n" % (peer, proto)
    if host:
        lines += b"X-Forwarded-Host: %s\r\n" % host
    return lines + b"Via: %s %s\r\n" % (version, VIA_PSEUDONYM)


def forwarded_request(
    fields: Fields,
    *,
    peer: bytes,
    proto: bytes,
    version: bytes,
    host: bytes | None,
    trusted: bool,
    without: frozenset[bytes] = _NOTHING,
    upstream_host: bytes | None = None,
) -> list[bytes]:
    """Return the field lines of a request for upstream, each with its CRLF.

    Removes what belongs to this hop (and ``without``), adds :func:`added_lines`.
    ``X-Forwarded-Proto`` and ``-Host`` have one value: a ``trusted`` proxy's are kept, anybody
    else's replaced.  ``host`` replaces the Host field where the target named one (RFC 9112 section
    3.2.2), or stands in for one that HTTP/1.0 does not ask for.  ``upstream_host`` is sent in the
    stead of either, which ``X-Forwarded-Host`` still tells.
    """
    left_out = HOP_BY_HOP | _nominated(fields) | without
    if not trusted:
        left_out |= _SINGLE_FORWARDED
    lines = []
    said = set()
    original_host: bytes | None = None
    sent_host = upstream_host or host
    for name, value, line in fields:
        if name in left_out:
            continue
        if name == b"host":
            original_host = value
            lines.append(line if sent_host is None else line[:4] + b": " + sent_host + b"\r\n")
            continue
        if name in _SINGLE_FORWARDED:
            said.add(name)
        lines.append(line)
    if sent_host is not None and original_host is None:
        lines.insert(0, b"Host: " + sent_host + b"\r\n")
    ours = added_lines(peer=peer, proto=proto, host=host or original_host or b"", version=version)
    if not said:
        lines.append(ours)
    else:
        lines += (one for one in ours.splitlines(keepends=True) if _name(one) not in said)
    return lines


def end_to_end(
    fields: Fields,
    without: frozenset[bytes] = _NOTHING,
    *,
    keep: frozenset[bytes] = _NOTHING,
) -> list[Field]:
    """Return the fields of an answer that go on downstream.

    ``keep`` names fields of this hop that mean the same on the next one.
    """
    left_out = _left_out(without, keep)
    nominated = _nominated(fields)
    if nominated:
        left_out |= nominated - keep
    return [one for one in fields if one[0] not in left_out]


@cache
def _left_out(without: frozenset[bytes], keep: frozenset[bytes]) -> frozenset[bytes]:
    return (HOP_BY_HOP | without) - keep


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _nominated(fields: Fields) -> frozenset[bytes]:
    """Return what the Connection field says belongs to this hop (RFC 9110 section 7.6.1)."""
    options = [value for name, value, _ in fields if name == b"connection"]
    return frozenset(tokens(options) - _NEVER_NOMINATED) if options else _NOTHING
