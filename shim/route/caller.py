"""Who makes a call, as far as the request shows: a name for the migration, never for access."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from shim.http1.fields import Fields, find
from shim.net.addresses import unmapped
from shim.route.text import MOST, OTHER, bounded, shortened

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


MAX_CALLER_LENGTH: Final = 200
# Of proxies in a row; parsing all that a header holds takes tens of milliseconds.
_MOST_HOPS: Final = 50
_TRACEPARENT: Final = re.compile(rb"[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}.*")
_XFCC_ELEMENT: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*+"|[^,"])*+')
_XFCC_PAIR: Final = re.compile(r'(?:\A|;)([A-Za-z]++)=("(?:[^"\\]|\\.)*+"|[^;,]*+)')


class Identity(NamedTuple):
    """Who made a call, as far as the request shows."""

    caller: str
    caller_source: str
    client_address: str
    user_agent: str | None
    request_id: str | None
    trace_id: str | None


def identify(
    fields: Fields, peer: str, sources: Sequence[str], trusted_proxies: Sequence[Network]
) -> Identity:
    """Name the caller from the first of ``sources`` that is there; ``address`` always is.

    ``sources`` are ``header:NAME``, ``xfcc``, ``jwt:CLAIM``, ``user-agent`` and ``address``.  None
    of them is proof: a name serves the migration, never an access decision.
    """
    address = client_address(fields, peer, trusted_proxies)
    user_agent = _text(find(fields, b"user-agent"))
    caller, source = address, "address"
    for candidate in sources:
        found = _caller_from(candidate, fields, address, user_agent)
        if found:
            caller, source = found, candidate
            break
    trace = _TRACEPARENT.fullmatch(find(fields, b"traceparent") or b"")
    return Identity(
        # Callers past a cap have that name together: whoever takes it has it in quotes.
        caller=f'"{OTHER}"' if caller == OTHER else bounded(caller, MAX_CALLER_LENGTH),
        caller_source=source,
        client_address=address,
        user_agent=user_agent,
        request_id=_text(find(fields, b"x-request-id")),
        trace_id=trace[1].decode() if trace else None,
    )


def client_address(fields: Fields, peer: str, trusted_proxies: Sequence[Network]) -> str:
    """Return the address of the client: ``peer``, or whom trusted proxies say they speak for.

    Read from the right, past every trusted hop, as many as there may be; a hop that is no address
    ends the search.
    """
    address = peer
    if not trusted_proxies or not is_trusted(peer, trusted_proxies):
        return address
    values = [value for name, value, _ in fields if name == b"x-forwarded-for"]
    for hop in reversed(b",".join(values).rsplit(b",", _MOST_HOPS)[-_MOST_HOPS:]):
        found = _address(hop.strip().decode("latin-1"))
        if found is None:
            break
        address = found
        if not is_trusted(address, trusted_proxies):
            break
    return address


def _address(text: str) -> str | None:
    """Return the address in one element of ``X-Forwarded-For``, which some send with a port."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.scope_id is not None:
        # A zone (RFC 4007) means nothing elsewhere, and may be any text of any length.
        return None
    # One name for those who come by IPv4, whichever socket took them in.
    return str(unmapped(parsed))


def is_trusted(address: str, trusted_proxies: Sequence[Network]) -> bool:
    """Tell whether ``address`` lies in one of ``trusted_proxies``; a path never does."""
    if not trusted_proxies:
        return False
    try:
        parsed = unmapped(ipaddress.ip_address(address))
    except ValueError:
        return False
    return any(parsed in network for network in trusted_proxies)


def _caller_from(source: str, fields: Fields, address: str, user_agent: str | None) -> str | None:
    if source == "user-agent":
        return user_agent
    if source == "address":
        return address
    if source == "xfcc":
        return _xfcc_name(find(fields, b"x-forwarded-client-cert"))
    kind, _, name = source.partition(":")
    if kind == "header":
        return _text(find(fields, name.lower().encode()))
    return _jwt_claim(find(fields, b"authorization"), name)


def _xfcc_name(value: bytes | None) -> str | None:
    """Return the best name in Envoy's ``X-Forwarded-Client-Cert``: URI, DNS, Subject, then Hash."""
    if not value:
        return None
    # One element per hop that forwarded a certificate; the first is the client's own.
    text = _XFCC_ELEMENT.match(value.decode("utf-8", "replace"))
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
    text = raw[:MOST].decode("utf-8", "replace").strip()
    if not text.isprintable():
        # Controls, bidirectional marks and lone surrogates would act on whoever shows the text.
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return shortened(text, raw) if len(raw) > MOST else text or None
