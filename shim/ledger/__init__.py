"""The record that is kept: every use of the deprecated route, before its response leaves.

Requests hand over their records (``ledger``).  One thread appends them as lines to files beside the
ledger (``journal``), which answers wait for; another owns the connection to the ledger and commits
what has come in groups (``writer``), after which the lines go.  Reports read both by themselves
(``reading``, ``leftovers``), or the log (``log_lines``); ``fleet`` ships what is kept to
PostgreSQL.
"""
