"""The record that is kept: every use of the deprecated route, before its response leaves.

One thread owns the connection and commits in groups (``writer``); requests hand it their records
and wait a bounded time (``ledger``); reports read the file by themselves (``reading``), or the log
(``log_lines``); ``fleet`` ships what is kept to PostgreSQL.
"""
