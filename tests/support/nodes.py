"""An upstream that nobody hears of."""

from __future__ import annotations

from datetime import UTC, datetime
from logging import CRITICAL

import structlog

from shim.clocks import Witness
from shim.net.addresses import Address
from shim.upstream.node import Node


def a_node(port: int) -> Node:
    """The one at this port of 127.0.0.1."""
    silent = structlog.make_filtering_bound_logger(CRITICAL)
    quiet = structlog.wrap_logger(None, wrapper_class=silent)
    witness = Witness(lambda: datetime.now(UTC), quiet)
    return Node(Address("127.0.0.1", port), quiet, witness)
