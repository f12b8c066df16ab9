"""What modules of tests on the wire expect alike."""

from __future__ import annotations

from tests.support.client import Answer

OK = b"HTTP/1.1 200 OK\r\n"
SILENCE = 0.4  # seconds until an impatient shim says 504
ADDED = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"via")


def check_fault(got: Answer, status: int) -> None:
    """A 502 or 504 in Restate's shape."""
    assert got.status == status
    assert got.complete
    assert [kind.split(b";")[0] for kind in got.values(b"content-type")] == [b"application/json"]
    assert set(got.json()) == {"message", "restate_code"}
    assert got.json()["restate_code"] is None
    assert len(got.json()["message"]) > 5
