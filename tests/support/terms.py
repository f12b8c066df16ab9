"""What a policy is made of, with a window and otherwise the defaults."""

from __future__ import annotations

from typing import Any, Final

from shim.route.policy import Phase, Terms
from shim.route.windows import parse_window

FROZEN: Final = "; only callers from before the freeze are served"
WINDOW: Final = "2026-12-01T10:00Z/PT30M"


def terms(phase: Phase = Phase.TRANSLATE, **more: Any) -> Terms:
    """The terms of ``phase``, and ``more``."""
    return Terms(phase=phase, **({"brownout": (parse_window(WINDOW),)} | more))
