"""What the ledger and the fleet have in common: tables, how they are opened, how they are written.

The ledger is SQLite, the fleet PostgreSQL; both hold the same tables, and what is told to the one
is counted by the same code in the other.
"""
