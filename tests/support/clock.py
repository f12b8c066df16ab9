"""A clock that tests set."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass
class Clock:
    """Shows the moment it was set to."""

    moment: datetime

    def __call__(self) -> datetime:
        return self.moment
