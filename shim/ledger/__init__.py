"""The record that is kept: every use of the deprecated route, before its answer leaves.

The way of a record, through the event loop and up to three threads:

In the event loop ``ledger.Ledger`` takes it, gives it the next number, and puts it in two places:
the record in the ``inbox``, its line in the ``journal``.  The answer waits for the line alone.

The journal's thread (``journal.Journal``) appends lines to the newest of the ``segments``, files
beside the ledger, and tells the loop, which lets the answers go.  Nobody waits for the disk itself.

The ledger's thread (``writer.Writer``) owns the connection.  Woken by the loop a few times a
second, it has ``gathering`` take from the inbox what is written together, and commits that with a
``heartbeat`` up to the moment at which the loop looked around.  Then it releases segments: one that
is full or old goes when none of its lines has a higher number than what was committed.  One with
lines that are nowhere else, as the inbox was full or the ledger was replaced, is read back first,
and so are those that a killed shim left behind (``leftovers``).  Between groups it drops single
records that are old enough (``retention``).

The fleet's thread (``fleet.Shipper``), where there is one, reads the ledger as others do, brings
what is new to PostgreSQL, and notes how far it has got: what it has not got yet is not dropped.

What ledger and fleet have in common is in ``tables``: how they are opened, written and tidied.
``signs`` are left beside the ledger where a record is in memory alone, or lost.

``records`` says what a record is, ``events`` what its line is called, ``evidence`` what reports are
made from, which is read from one ledger or the fleet (``reading``, with ``sums`` and ``recent``),
from several ledgers (``several``), or from the log (``log_lines``, with ``log_frames``); what was
not summed when it was written is summed by ``counting``.  ``adding`` imports the lines of a log.
``errors`` has what is raised where something cannot be read or written.
"""
