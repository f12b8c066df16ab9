"""File descriptors: how many there are, and who may have them."""

from __future__ import annotations

import contextlib
import resource
from typing import Final, NamedTuple

# What no connection may take: ledger and journal, the ops port, the fleet, standard streams.
_RESERVED: Final = 48
# Of those without a limit, as many as no machine has memory for.
_UNLIMITED: Final = 1 << 20


class Shares(NamedTuple):
    """How many connections there may be on either side."""

    callers: int
    upstream: int


def raise_limit() -> int:
    """Take all descriptors that the system lets this process have; return how many they are."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # macOS calls its limit infinite, and then does not grant that.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _UNLIMITED if soft == resource.RLIM_INFINITY else soft


def share(descriptors: int, callers: int, upstream: int) -> Shares:
    """Return the two numbers, smaller where there are not that many ``descriptors``.

    A connection to upstream can need two: see ``shim.upstream.connection``.
    """
    left = max(descriptors - _RESERVED, 4)
    upstream = min(upstream, left // 4)
    return Shares(min(callers, left - 2 * upstream), upstream)
