"""Says what callers and upstream can bring about as often as they like: once, and then in sums."""

from __future__ import annotations

from typing import Final

from shim.record.log import Logger

# Kinds that are told apart until the next sums.
_MOST_KINDS: Final = 1000


class Summing:
    """Logs the first event of a kind at once, and later in one line how many more there were."""

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._more: dict[tuple[str, str], tuple[int, int, dict[str, object]]] = {}

    def say(
        self, level: int, event: str, apart: str = "", /, *, at_once: bool = True, **fields: object
    ) -> None:
        """Log ``event``, or count it where one like it has been told since the last sums.

        ``level`` is one of :mod:`logging`; ``apart`` tells events apart that are not alike.  What
        is not said ``at_once`` is in the sums alone.
        """
        key = (event, apart)
        if key not in self._more and len(self._more) >= _MOST_KINDS:
            key = (event, "")
        told = self._more.get(key)
        if told is None and at_once:
            self._logger.log(level, event, **fields, count=1)
            self._more[key] = (0, level, fields)
        else:
            self._more[key] = ((told[0] if told else 0) + 1, level, fields)

    def tell(self) -> None:
        """Log the sums, each beside the fields of its last event."""
        told, self._more = self._more, {}
        for (event, apart), (count, level, fields) in told.items():
            if count:
                self._logger.log(level, event, **fields, count=count)
                self._more[event, apart] = (0, level, fields)
