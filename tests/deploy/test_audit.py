"""The audit of dependencies says that there is nothing only where it has looked."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.paths import DEPLOY
from tests.support.tools import tool

pytestmark = pytest.mark.deploy

# Nobody listens on port 9 here.
NOWHERE = "http://127.0.0.1:9"


def test_an_audit_that_cannot_look_fails_and_does_not_say_that_there_is_nothing() -> None:
    # pip-audit found "No known vulnerabilities" in what it had skipped.
    folder = str(Path(tool("pip-audit", "PyPI pip-audit")).parent)
    done = subprocess.run(
        ["sh", str(DEPLOY / "audit.sh")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**os.environ, "HTTPS_PROXY": NOWHERE, "PATH": f"{folder}:{os.environ['PATH']}"},
    )
    assert done.returncode != 0
    assert "No known vulnerabilities" not in done.stdout + done.stderr
    # It did try to look.
    assert "Unable to connect to proxy" in done.stderr
