"""What answers to the old call say about its retirement, for client libraries and people to read.

``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594), ``Link`` (RFC 8288) and, where wanted,
``Warning`` (RFC 7234 section 5.5; RFC 9111 retired it, but old client libraries print it).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from shim.http1.fields import Field, field

# What a URI may not hold (RFC 3986 appendix A), though some caller's target does.
_NOT_IN_A_URI: Final = re.compile(rb"[^!#-;=?-Z\[\]_a-z~]|%(?![0-9A-Fa-f]{2})")
# Many clients take no field line above 8 KiB; an id that long is no invocation's anyway.
_LONGEST_TARGET: Final = 1024


def deprecation_fields(
    *,
    since: datetime,
    sunset: datetime | None,
    docs_url: str,
    warning: bool,
) -> Callable[[bytes | None], list[Field]]:
    """Return what makes the fields for a call from its replacement's path.

    ``None`` stands for a call that nothing replaces, on a server without the new endpoints.
    """
    always = [field(b"deprecation", b"@%d" % int(since.timestamp()))]
    docs = f'<{docs_url}>; rel="deprecation"; type="text/html"'
    if sunset is not None:
        always.append(field(b"sunset", format_datetime(sunset, usegmt=True).encode()))
        docs += f', <{docs_url}>; rel="sunset"; type="text/html"'
    link = docs.encode()

    def fields(new_target: bytes | None) -> list[Field]:
        if new_target is None:
            return [*always, field(b"link", link)]
        path, successor = b"/invocations/{invocation_id}/cancel|kill|purge", b""
        if len(new_target) <= _LONGEST_TARGET:
            path = uri(new_target)
            successor = b', <%s>; rel="successor-version"' % path
        found = [*always, field(b"link", link + successor)]
        if warning:
            text = (
                b'299 - "DELETE /invocations/{invocation_id} is deprecated, use PATCH %s instead"'
            )
            found.append(field(b"warning", text % path))
        return found

    return fields


def uri(target: bytes) -> bytes:
    """Percent-encode the bytes of ``target`` that no URI holds; leave all others."""
    return _NOT_IN_A_URI.sub(lambda match: b"%%%02X" % match[0][0], target)
