"""What is asked of a report: when, of which time, by what the team says of its callers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from shim.report.places import Place
from shim.route.policy import CallerEntry
from shim.settings.parsers import Instances

DEFAULT_WINDOW: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a report that is made ``now``.

    The verdict is about the ``window`` before, and about all callers; the report lists what there
    was from ``since`` on, where an ``owner`` (a glob) is named that of their callers alone.
    ``entries`` are what the team knows about callers, ``address_names`` what it calls their
    addresses.  ``instances`` are the shims that should record, ``sunset`` is when the route is to
    go, and ``places`` are where in source code the old call is made.
    """

    now: datetime
    window: timedelta = DEFAULT_WINDOW
    since: datetime | None = None
    owner: str | None = None
    entries: Sequence[CallerEntry] = ()
    instances: Instances | None = None
    sunset: datetime | None = None
    address_names: Mapping[str, str] = field(default_factory=dict)
    places: Sequence[Place] = ()

    @property
    def start(self) -> datetime:
        """When the window begins."""
        return self.now - self.window
