"""Real servers, each started once per session with a shim before it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from shim.demo.node import SERVER
from shim.demo.restate import restate_server
from tests.support.real import Real, installed
from tests.support.running import Shim


@pytest.fixture(scope="session", params=["1.6.2", "1.7.12"])
def real(request: pytest.FixtureRequest) -> Iterator[Real]:
    version: str = request.param
    program = installed(SERVER, version)
    # Not pytest's folder: its long name would not fit into the address of a Unix socket.
    with tempfile.TemporaryDirectory(prefix="shim-real-") as name:
        folder = Path(name)
        with (
            restate_server(program, folder) as restate,
            Shim("--ledger", str(folder / "ledger.db"), upstream=restate.admin) as shim,
        ):
            yield Real(version, restate, shim)
