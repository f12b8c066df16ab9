"""The events that a log is read back by: who writes one and who reads it use the same name.

All other events are for people, and are named where they are logged.
"""

from __future__ import annotations

from typing import Final

USE: Final = "deprecated_route_used"
NEAR_MISS: Final = "migration_near_miss"
REPLACEMENT: Final = "replacement_endpoint_used"
REFUSED: Final = "request_refused"
PHASE: Final = "phase_changed"
LISTENING: Final = "listening"
HEARTBEAT: Final = "heartbeat"
STOPPED: Final = "stopped"
LINES_DROPPED: Final = "log_lines_dropped"
