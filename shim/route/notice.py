"""What answers to the old call say about its retirement, for client libraries and people to read.

``Deprecation`` (RFC 9745), ``Sunset`` (RFC 8594), ``Link`` (RFC 8288) and, where wanted,
``Warning`` (RFC 7234 section 5.5; RFC 9111 retired it, but old client libraries print it).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from shim.http1.fields import Field, field

# What a URI may not hold (RFC 3986 appendix A), though some caller's target does.
_NOT_IN_A_URI: Final = re.compile(rb"[^!#-;=?-Z\[\]_a-z~]|%(?![0-9A-Fa-f]{2})")
# Many clients take no field line above 8 KiB; an id that long is no invocation's anyway.
_LONGEST_TARGET: Final = 1024


@dataclass(frozen=True, slots=True)
class Notice:
    """The part of the fields that is the same for all calls, made once.

    ``always`` are whole fields, ``links`` the beginning of ``Link``.
    """

    always: tuple[Field, ...]
    links: bytes
    warning: bool

    def fields(self, new_target: bytes | None) -> list[Field]:
        """Return the fields for a call that ``new_target`` replaces.

        ``None`` stands for a call that nothing replaces, on a server without the new endpoints.
        """
        if not self.links:
            return []
        if new_target is None:
            return [*self.always, field(b"link", self.links)]
        path, successor = b"/invocations/{invocation_id}/cancel|kill|purge", b""
        if len(new_target) <= _LONGEST_TARGET:
            path = uri(new_target)
            successor = b', <%s>; rel="successor-version"' % path
        found = [*self.always, field(b"link", self.links + successor)]
        if self.warning:
            text = (
                b'299 - "DELETE /invocations/{invocation_id} is deprecated, use PATCH %s instead"'
            )
            found.append(field(b"warning", text % path))
        return found


NO_NOTICE: Final = Notice((), b"", warning=False)
"""Nothing is said."""


def make_notice(
    *, since: datetime, sunset: datetime | None, docs_url: str, warning: bool
) -> Notice:
    """Return what is said of a route that is deprecated ``since`` then."""
    always = [field(b"deprecation", b"@%d" % int(since.timestamp()))]
    links = f'<{docs_url}>; rel="deprecation"; type="text/html"'
    if sunset is not None:
        always.append(field(b"sunset", format_datetime(sunset, usegmt=True).encode()))
        links += f', <{docs_url}>; rel="sunset"; type="text/html"'
    return Notice(tuple(always), links.encode(), warning)


def uri(target: bytes) -> bytes:
    """Percent-encode the bytes of ``target`` that no URI holds; leave all others."""
    return _NOT_IN_A_URI.sub(lambda match: b"%%%02X" % match[0][0], target)
