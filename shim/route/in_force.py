"""What may change while the shim runs."""

from __future__ import annotations

from dataclasses import dataclass

from shim.route.notice import Notice
from shim.route.policy import Policy
from shim.route.replies import Replies


@dataclass(frozen=True, slots=True)
class Live:
    """What may change while the shim runs: replaced as a whole, read once per request."""

    policy: Policy
    replies: Replies
    notice: Notice
