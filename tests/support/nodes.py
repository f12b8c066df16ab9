"""An upstream, and a logger, that nobody hears of."""

from __future__ import annotations

from logging import CRITICAL

import structlog

from shim.clocks import Witness
from shim.net.addresses import Address
from shim.record.log import Logger
from shim.upstream.node import Node
from tests.support.ledger_records import now


def quiet() -> Logger:
    """One that says nothing."""
    silent = structlog.make_filtering_bound_logger(CRITICAL)
    logger: Logger = structlog.wrap_logger(None, wrapper_class=silent)
    return logger


def a_node(port: int) -> Node:
    """The one at this port of 127.0.0.1."""
    return Node(Address("127.0.0.1", port), quiet(), Witness(now, quiet()))
