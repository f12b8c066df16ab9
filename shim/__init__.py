"""A reverse proxy before Restate's admin API that keeps one deprecated call working.

The rooms, from the bottom up; each imports only from those above it in this list:

moments
    Times and durations as text, in one grammar.
clocks
    What upstream says of the time, beside what the machine says.
net
    Addresses, listening sockets, TLS contexts, bodies on their way between two connections.
http1
    Messages as bytes, without I/O.
http2
    The same for callers that speak HTTP/2.
route
    The deprecated route: what a call means, who makes it, what applies to it, what it is told.
settings
    What can be set (``declared``), where it comes from, when it is read again.
ledger
    The record that is kept.
upstream
    Connections to Restate.
record
    What happened, told once: to the log, the ledger, the metrics.
proxy
    The proxy port: a request comes in, is decided upon, is answered.
report
    Who still has to migrate, and whether the route can go.
ops
    The shim's own endpoints.
scan
    Source trees: the places that make the deprecated call, and what to write there.
server
    The planes of record, proxy and ops put together, started and drained.
demo
    The whole on a real Restate server.
commands, cli, __main__
    What is typed.

Words used throughout:

plane
    A part of the running shim that builds, starts and ends itself: the ``plane`` of its room.
downstream
    The side of the callers; :mod:`shim.proxy` speaks to them.
upstream
    Restate's admin API, over TCP, TLS or its Unix socket.
relay, relay lane
    Pass a plain request and its answer on as the bytes that they came in, before the handler.
pass through
    Hand a request on as it came, and its answer back as it came.
translate
    Turn ``DELETE /invocations/{id}?mode=M`` into ``PATCH /invocations/{id}/M``.
mode
    ``cancel``, ``kill`` or ``purge``.
phase
    How far the retirement of the old route is: observe, translate, freeze, brownout, reject.
entry
    What the team knows about callers: one ``[[caller]]`` table.
fault
    What is wrong with a request whose bytes are not certain, or for which there is no room.
refuse
    Keep an old call away because of its phase.
replies
    What callers of the old route get where upstream says 404 or 409: as ever, or as documented.
use
    One call to the old route, as it is recorded.
near miss
    A call beside the old and the new route, by somebody who migrates wrongly.
ledger, journal, fleet
    Where uses are kept: by one shim (SQLite), until they are on the disk there (lines in files
    beside it), by many shims (PostgreSQL).
report, verdict
    Who still has to migrate; whether the route can go.
drain
    Finish what is in flight and take nothing new.
"""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"


def to_install(extra: str) -> str:
    """Tell how an extra is had; no index of packages has this one."""
    return (
        f"install the extra '{extra}' where you installed restate-shim from: "
        f"pip install '.[{extra}]' in its checkout"
    )
