"""Header fields on their way through: what stays on this hop, what is added, who is calling.

Fields are ``(name, value)`` pairs of bytes, as they were sent and in that order.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

RawHeaders = Sequence[tuple[bytes, bytes]]
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

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
MAX_CALLER_LENGTH: Final = 200
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_XFCC_ELEMENT: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^,"])*')
_XFCC_PAIR: Final = re.compile(r'([A-Za-z]+)=("(?:[^"\\]|\\.)*"|[^;,]*)(?:[;,]|$)')


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


@dataclass(frozen=True, slots=True)
class Identity:
    """Who made a call, as far as the request shows."""

    caller: str
    caller_source: str
    client_address: str
    user_agent: str | None
    request_id: str | None
    trace_id: str | None


def identify(
    headers: RawHeaders, peer: str, sources: Sequence[str], trusted_proxies: Sequence[Network]
) -> Identity:
    """Name the caller from the first of ``sources`` that is there; ``address`` always is.

    ``sources`` are ``header:NAME``, ``xfcc``, ``jwt:CLAIM``, ``user-agent`` and ``address``.  None
    of them is proof: a name serves the migration, never an access decision.
    """
    address = client_address(headers, peer, trusted_proxies)
    user_agent = _text(find(headers, b"user-agent"))
    caller, source = address, "address"
    for candidate in sources:
        found = _caller_from(candidate, headers, address, user_agent)
        if found:
            caller, source = found, candidate
            break
    trace = _TRACEPARENT.fullmatch(find(headers, b"traceparent") or b"")
    return Identity(
        caller=caller[:MAX_CALLER_LENGTH],
        caller_source=source,
        client_address=address,
        user_agent=user_agent,
        request_id=_text(find(headers, b"x-request-id")),
        trace_id=trace[1].decode() if trace else None,
    )


def client_address(headers: RawHeaders, peer: str, trusted_proxies: Sequence[Network]) -> str:
    """Return the address of the client: ``peer``, or whom trusted proxies say they speak for.

    Read from the right, past every trusted hop; a hop that is no address ends the search.
    """
    address = peer
    if not trusted_proxies or not is_trusted(peer, trusted_proxies):
        return address
    values = [value for name, value in headers if name.lower() == b"x-forwarded-for"]
    for hop in reversed(b",".join(values).split(b",")):
        text = hop.strip().decode("latin-1").removeprefix("[").removesuffix("]")
        try:
            address = str(ipaddress.ip_address(text))
        except ValueError:
            break
        if not is_trusted(address, trusted_proxies):
            break
    return address


def is_trusted(address: str, trusted_proxies: Sequence[Network]) -> bool:
    """Tell whether ``address`` lies in one of ``trusted_proxies``; a path never does."""
    if not trusted_proxies:
        return False
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in trusted_proxies)


def _caller_from(
    source: str, headers: RawHeaders, address: str, user_agent: str | None
) -> str | None:
    if source == "user-agent":
        return user_agent
    if source == "address":
        return address
    if source == "xfcc":
        return _xfcc_name(find(headers, b"x-forwarded-client-cert"))
    kind, _, name = source.partition(":")
    if kind == "header":
        return _text(find(headers, name.lower().encode()))
    return _jwt_claim(find(headers, b"authorization"), name)


def _xfcc_name(value: bytes | None) -> str | None:
    """Return the best name in Envoy's ``X-Forwarded-Client-Cert``: URI, DNS, Subject, then Hash."""
    # One element per hop that forwarded a certificate; the first is the client's own.
    text = _XFCC_ELEMENT.match((value or b"").decode("utf-8", "replace"))
    pairs: dict[str, str] = {}
    for key, said in _XFCC_PAIR.findall(text[0] if text else ""):
        pairs.setdefault(key.lower(), said.strip('"').replace('\\"', '"'))
    for key in ("uri", "dns", "subject", "hash"):
        if pairs.get(key):
            return _text(pairs[key].encode())
    return None


def _jwt_claim(authorization: bytes | None, claim: str) -> str | None:
    """Return a string claim of a bearer JWT, whose signature is not ours to check."""
    scheme, _, token = (authorization or b"").partition(b" ")
    parts = token.strip().split(b".")
    if scheme.lower() != b"bearer" or len(parts) != 3:
        return None
    payload = parts[1]
    try:
        claims = json.loads(base64.urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    value = claims.get(claim) if isinstance(claims, dict) else None
    return _text(value.encode("utf-8", "replace")) if isinstance(value, str) else None


def _text(raw: bytes | None) -> str | None:
    """Return a field value as text that is safe to print: one line, no controls, bounded."""
    if not raw:
        return None
    text = raw[: 4 * MAX_CALLER_LENGTH].decode("utf-8", "replace").strip()
    if not text.isprintable():
        # Controls, bidirectional marks and lone surrogates would act on whoever shows the text.
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text or None
