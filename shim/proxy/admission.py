"""Who may connect: so many in all, and so many from one address."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv6Address

from shim.http1.grammar import LimitError
from shim.http1.requests import RequestHead
from shim.record.metrics import MAX_CONNECTIONS, MAX_PER_ADDRESS
from shim.route.meaning import OldCall, interpret


class Admission:
    """Counts the connections from callers.

    A Unix socket has no addresses, and only the limit in all.  Of IPv6 a network of 64 bits counts
    as one address: whoever has one has all in it (RFC 6177).
    """

    def __init__(self, most: int, most_per_address: int) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._by_address: Counter[str] = Counter()
        self.open = 0
        """How many connections there are."""

    def admit(self, address: str) -> str | None:
        """Count one more from ``address``, or return the limit for which it is refused."""
        if self.open >= self._most:
            return MAX_CONNECTIONS
        network = _network_of(address)
        if address != "unix" and self._by_address[network] >= self._most_per_address:
            return MAX_PER_ADDRESS
        self.open += 1
        self._by_address[network] += 1
        return None

    def release(self, address: str) -> None:
        """Count one less."""
        network = _network_of(address)
        self.open -= 1
        self._by_address[network] -= 1
        if not self._by_address[network]:
            del self._by_address[network]


def _network_of(address: str) -> str:
    """Return what an address is counted under: itself, or of IPv6 its first 64 bits."""
    if ":" not in address:
        return address
    bits = int(IPv6Address(address.partition("%")[0]))
    return str(IPv6Address(bits >> 64 << 64))


def use_without_room(head: RequestHead, why: str) -> RequestHead | None:
    """Return the head of an old call for which there is no room, as one that is refused.

    ``None`` for all else: of what is turned away only a use has to be on record.
    """
    if not isinstance(interpret(head.method, head.target), OldCall):
        return None
    return head._replace(fault=head.fault or LimitError(503, why))
