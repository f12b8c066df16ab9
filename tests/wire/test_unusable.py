"""What cannot work ends with a clear word on stderr."""

from __future__ import annotations

import socket

import pytest

from tests.support.certificates import Certificates
from tests.support.origin import Origin
from tests.support.running import restate_shim


class TestUnusable:
    """What cannot work ends with a clear word on stderr."""

    def test_a_port_in_use(self, own_origin: Origin) -> None:
        """Which, and that it is in use."""
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = f"127.0.0.1:{taken.getsockname()[1]}"
            for flag, other in (("--listen", "--ops-listen"), ("--ops-listen", "--listen")):
                ended = restate_shim(
                    "serve", flag, address, other, "127.0.0.1:0", "--upstream", own_origin.url,
                    "--ledger", "memory",
                )  # fmt: skip
                assert ended.returncode not in (0, None)
                assert address in ended.stderr
                assert flag in ended.stderr
                assert "Traceback" not in ended.stderr

    @pytest.mark.parametrize(
        ("flag", "value"),
        [
            ("--upstream", "ftp://x"), ("--upstream", "http://"), ("--upstream", "nonsense"),
            ("--upstream", "http://h:99999"), ("--upstream", "http://127.0.0.1:1/path?query"),
            ("--listen", "nonsense"), ("--listen", "127.0.0.1"), ("--listen", "127.0.0.1:99999"),
            ("--listen", "unix:"), ("--ops-listen", "x:y"), ("--phase", "Translate!"),
            ("--replies", "modern"), ("--upstream-timeout", "5x"), ("--upstream-timeout", "-1s"),
            ("--shutdown-grace", "soon"), ("--connect-timeout", ""), ("--log-level", "loud"),
            ("--log-format", "xml"),
            ("--trusted-proxies", "10.0.0.0/33"), ("--caller", "horoscope"),
            ("--tls-cert", "/nonexistent/cert.pem"), ("--upstream-ca", "/nonexistent/ca.pem"),
        ],
    )  # fmt: skip
    def test_a_bad_setting_is_named(self, flag: str, value: str) -> None:
        """By its flag, what it got, and in no traceback; exit 2."""
        ended = restate_shim("serve", f"{flag}={value}")
        assert ended.returncode == 2, ended.stderr
        assert flag.strip("-") in ended.stderr
        assert value in ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.stdout == ""

    def test_a_bad_variable_is_named(self) -> None:
        """By the name that was set."""
        ended = restate_shim("serve", SHIM_PHASE="loud")
        assert ended.returncode == 2
        assert "SHIM_PHASE" in ended.stderr or "phase" in ended.stderr

    def test_half_of_a_pair_is_named(self, certificates: Certificates) -> None:
        """A certificate without its key."""
        ended = restate_shim("serve", "--tls-cert", certificates.cert)
        assert ended.returncode == 2
        assert "tls-key" in ended.stderr
