"""Health checks and scrapes, told from what callers ask."""

from __future__ import annotations

import re
from typing import Final

# Requests as probes and scrapers send them, up to the white space behind their target.
_PROBE: Final = re.compile(
    rb"(?:(?:GET|HEAD|OPTIONS) (?:/v[0-9]+)?/(?:healthz?|readyz?|livez?|ping|metrics)"
    rb"|(?:HEAD|OPTIONS) /)(?:[?#][^ ]*)? "
)
_ROOT: Final = re.compile(rb"GET (?:/v[0-9]+)?/(?:version)?(?:[?#][^ ]*)? ")
_PROBERS: Final = re.compile(
    rb"kube-probe/|ELB-HealthChecker|GoogleHC/|Blackbox Exporter|blackbox_exporter|Prometheus/"
    rb"|Consul Health Check|Uptime-Kuma/|HAProxy-Check"
)
_LOOKED_AT: Final = 2000


def is_probe(request: bytes) -> bool:
    """Tell a health check or a scrape from all else, by how the request's head begins.

    People and programs ask for ``/`` and ``/version`` too: there the ``User-Agent`` tells.
    """
    if _PROBE.match(request):
        return True
    return _ROOT.match(request) is not None and _PROBERS.search(request, 0, _LOOKED_AT) is not None
