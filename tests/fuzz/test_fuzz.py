"""A part of what `make fuzz` does as long as one likes; another part each time."""

from __future__ import annotations

import time

from tests.fuzz.run import messages

COUNT = 200_000


def test_whatever_is_sent_is_read_in_one_way() -> None:
    for count in messages(seed=time.time_ns()):
        if count == COUNT:
            break
