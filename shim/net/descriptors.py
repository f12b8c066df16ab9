"""File descriptors: how many there are, and who may have them."""

from __future__ import annotations

import contextlib
import resource
from typing import Final, NamedTuple

# What none of these may take: ledger and journal, the ops port, callers that are being refused, the
# fleet, standard streams.
_RESERVED: Final = 96
_LEAST_RESERVED: Final = 40
_HANDSHAKES: Final = 256
# Of those without a limit, as many as no machine has memory for.
_UNLIMITED: Final = 1 << 20


class Shares(NamedTuple):
    """How many connections there may be on either side, and how many that are not yet one."""

    callers: int
    upstream: int
    handshakes: int


def raise_limit() -> int:
    """Take all descriptors that the system lets this process have; return how many they are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls its limit infinite, and then does not grant that.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def share(descriptors: int, callers: int, upstream: int, *, tls: bool) -> Shares:
    """Return the two numbers, smaller where there are not that many ``descriptors``.

    A connection to upstream can need two: see ``shim.upstream.connection``.  With ``tls`` some are
    for callers who have yet to shake hands.
    """
    reserved = min(_RESERVED, max(_LEAST_RESERVED, descriptors // 4))
    left = max(descriptors - reserved, 8)
    upstream = min(upstream, left // 4)
    left -= 2 * upstream
    handshakes = min(_HANDSHAKES, left // 4) if tls else 0
    return Shares(min(callers, left - handshakes), upstream, handshakes)
