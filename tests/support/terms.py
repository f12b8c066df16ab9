"""What a policy is made of, with a window and otherwise the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from shim.route.policy import CallerRule, Phase
from shim.route.windows import Spec, parse_window

FROZEN: Final = "; only callers from before the freeze are served"
WINDOW: Final = "2026-12-01T10:00Z/PT30M"


@dataclass
class Terms:
    phase: Phase = Phase.TRANSLATE
    callers: tuple[CallerRule, ...] = ()
    brownout: tuple[Spec, ...] = (parse_window(WINDOW),)
    brownout_jitter: timedelta = timedelta()
    brownout_share: float = 1.0
    freeze_known: tuple[str, ...] = ()
    dry_run: bool = False
