"""The grammar of HTTP/1.1 that both directions share (RFC 9110 section 5, RFC 9112 section 5).

Every expression is anchored and gives back nothing that it took (possessive quantifiers), so that
its time is linear in what it reads.
"""

from __future__ import annotations

import re
from typing import Final

TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
TEXT: Final = rb"[^\x00-\x08\x0a-\x1f\x7f]*+"
FIELD_LINES: Final = rb"(?:" + TOKEN + rb":" + TEXT + rb"\r\n)*+"
# Only for heads that the grammar has let through: line, name, and value without white space around.
FIELD: Final = re.compile(rb"(([^:\r\n]+):[ \t]*((?:[^\r]*[^\r \t])?)[ \t]*\r\n)")
# RFC 3986 section 3.2.2 without the comma, by which two Hosts become one; a zone (RFC 6874) comes
# with and without its escape.  Empty where there is no authority, as on a Unix socket (RFC 9112
# section 3.2).
_ADDRESS: Final = (
    rb"\[(?:[0-9A-Fa-f:.]++(?:%[0-9A-Za-z._~%-]++)?|v[0-9A-Fa-f]++\.[0-9A-Za-z.:_~-]++)\]"
)
HOST: Final = re.compile(rb"(?:" + _ADDRESS + rb"|[0-9A-Za-z._~!$&'()*+;=%-]*+)(?::[0-9]{0,5}+)?")
LENGTH: Final = re.compile(rb"[0-9]{1,18}")


class FramingError(Exception):
    """A message that cannot be framed in exactly one way, or is larger than may be.

    ``status`` is what a caller is told of a request like that.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class LimitError(FramingError):
    """A well-formed request that is refused: too large, too slow, or too late."""
