"""The ledger: every use of the deprecated route, kept before its response leaves.

One thread owns the connection and commits in groups (``writer``); requests hand it their records
and wait a bounded time (``queue``); reports read the file by themselves (``reading``).
"""

from __future__ import annotations

from shim.ledger.importing import Imported, import_records
from shim.ledger.queue import Ledger, LedgerState
from shim.ledger.reading import (
    read_evidence,
    read_identity,
    read_near_misses,
    read_recent,
    read_uses,
)
from shim.tables.opening import LedgerError

__all__ = [
    "Imported",
    "Ledger",
    "LedgerError",
    "LedgerState",
    "import_records",
    "read_evidence",
    "read_identity",
    "read_near_misses",
    "read_recent",
    "read_uses",
]
