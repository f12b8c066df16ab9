"""Who may connect: so many in all, and so many from one address."""

from __future__ import annotations

from collections import Counter

from shim.record.metrics import MAX_CONNECTIONS, MAX_PER_ADDRESS


class Admission:
    """Counts the connections from callers.

    A Unix socket has no addresses, and only the limit in all.
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
        if address != "unix" and self._by_address[address] >= self._most_per_address:
            return MAX_PER_ADDRESS
        self.open += 1
        self._by_address[address] += 1
        return None

    def release(self, address: str) -> None:
        """Count one less."""
        self.open -= 1
        self._by_address[address] -= 1
        if not self._by_address[address]:
            del self._by_address[address]
