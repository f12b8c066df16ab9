"""Header fields on their way through: what stays on this hop, what is added, who is calling.

Fields are ``(name, value)`` pairs of bytes, as they were sent and in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

RawHeaders = Sequence[tuple[bytes, bytes]]

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


def find(headers: RawHeaders, name: bytes) -> bytes | None:
    """Return the first value of the field ``name`` (lower case), or ``None``."""
    size = len(name)
    for field, value in headers:
        if len(field) == size and field.lower() == name:
            return value
    return None


def tokens(values: Iterable[bytes]) -> set[bytes]:
    """Return the lower-case members of comma-separated field ``values``."""
    return {token.strip().lower() for value in values for token in value.split(b",")}


def forwarded_request(
    headers: RawHeaders,
    *,
    peer: bytes,
    proto: bytes,
    version: bytes,
    host: bytes | None,
    trusted: bool,
    without: frozenset[bytes] = frozenset(),
) -> list[bytes]:
    """Return the field lines of a request for upstream, each with its CRLF.

    Removes what belongs to this hop (and ``without``), adds ``X-Forwarded-For``, ``-Proto``,
    ``-Host`` and ``Via``.  ``X-Forwarded-Proto`` and ``-Host`` have one value: a ``trusted``
    proxy's are kept, anybody else's replaced.  ``host`` replaces the Host field where the target
    named one (RFC 9112 section 3.2.2), or stands in for one that HTTP/1.0 does not ask for.
    """
    nominated = _nominated(headers)
    lines = []
    said: set[bytes] = set()
    original_host = b""
    for name, value in headers:
        lowered = name.lower()
        if lowered in HOP_BY_HOP or lowered in nominated or lowered in without:
            continue
        if lowered == b"host":
            original_host = value
            lines.append(name + b": " + (host or value) + b"\r\n")
            continue
        if lowered in _SINGLE_FORWARDED:
            if not trusted:
                continue
            said.add(lowered)
        lines.append(name + b": " + value + b"\r\n")
    if host is not None and not original_host:
        lines.insert(0, b"Host: " + host + b"\r\n")
    lines.append(b"X-Forwarded-For: " + peer + b"\r\n")
    if b"x-forwarded-proto" not in said:
        lines.append(b"X-Forwarded-Proto: " + proto + b"\r\n")
    if b"x-forwarded-host" not in said and (host or original_host):
        lines.append(b"X-Forwarded-Host: " + (host or original_host) + b"\r\n")
    lines.append(b"Via: " + version + b" " + VIA_PSEUDONYM + b"\r\n")
    return lines


def end_to_end(
    headers: RawHeaders,
    without: frozenset[bytes] = frozenset(),
    *,
    keep: frozenset[bytes] = frozenset(),
) -> list[bytes]:
    """Return the field lines of an answer that go on downstream, each with its CRLF.

    ``keep`` names fields of this hop that mean the same on the next one.
    """
    left_out = (HOP_BY_HOP | _nominated(headers) | without) - keep
    return [
        name + b": " + value + b"\r\n" for name, value in headers if name.lower() not in left_out
    ]


def _nominated(headers: RawHeaders) -> frozenset[bytes]:
    """Return what the Connection field says belongs to this hop (RFC 9110 section 7.6.1)."""
    values = [value for name, value in headers if len(name) == 10 and name.lower() == b"connection"]
    return frozenset(tokens(values) - _NEVER_NOMINATED) if values else _NOTHING
