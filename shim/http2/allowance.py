"""How much of something a caller may do: so many times at once, and so many a second."""

from __future__ import annotations


class Allowance:
    """Begins at ``burst`` and grows back to it by ``rate`` a second."""

    def __init__(self, burst: int, rate: float) -> None:
        self._burst = burst
        self._rate = rate
        self._left = float(burst)
        self._at = 0.0

    def spend(self, cost: float, now: float) -> bool:
        """Take ``cost`` off, or tell that there is not so much left; ``now`` is in seconds."""
        self._left = min(self._burst, self._left + (now - self._at) * self._rate)
        self._at = now
        self._left -= cost
        return self._left >= 0

    def give(self, amount: float) -> None:
        """Add to it, for something done that calls for it."""
        self._left = min(self._burst, self._left + amount)
