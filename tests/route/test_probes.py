"""Which requests are probes."""

from __future__ import annotations

import pytest

from shim.route.probes import is_probe


@pytest.mark.parametrize(
    ("first_line", "probe"),
    [
        *(
            (b"GET /" + name + b" HTTP/1.1", True)
            for name in (
                *(b"health", b"healthz", b"ready", b"readyz", b"live", b"livez", b"ping"),
                *(b"metrics", b"health?verbose", b"health#x"),
            )
        ),
        (b"HEAD / HTTP/1.1", True),
        (b"OPTIONS /v2/health HTTP/1.0", True),
        (b"OPTIONS /?x=/y HTTP/1.1", True),
        (b"GET /v12/health HTTP/1.1", True),
        (b"GET / HTTP/1.1", False),
        (b"GET /version HTTP/1.1", False),
        (b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: kube-probe/1.30\r\n", True),
        (b"GET /v3/version?x HTTP/1.1\r\nuser-agent: ELB-HealthChecker/2.0\r\n", True),
        (b"GET /services HTTP/1.1\r\nUser-Agent: kube-probe/1.30\r\n", False),
        (b"POST /health HTTP/1.1", False),
        (b"GET /healthy HTTP/1.1", False),
        (b"GET /health/x HTTP/1.1", False),
        (b"GET //health HTTP/1.1", False),
        (b"GET /services HTTP/1.1", False),
        (b"GET /v2 HTTP/1.1", False),
        (b"DELETE /invocations/x HTTP/1.1", False),
    ],
)
def test_a_probe_is_told_by_its_first_line(first_line: bytes, *, probe: bool) -> None:
    assert is_probe(first_line) is probe
