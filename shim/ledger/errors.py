"""What goes wrong with a ledger or the fleet."""

from __future__ import annotations


class LedgerError(Exception):
    """The record cannot be opened, read or written; says why, and what would help."""
