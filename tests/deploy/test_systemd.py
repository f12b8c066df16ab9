"""The unit, judged by systemd's own tools."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from shim.settings.loading import load
from tests.support.client import ask, request
from tests.support.origin import Origin
from tests.support.paths import DEPLOY
from tests.support.running import SERVE, environment
from tests.support.tools import run, tool

pytestmark = pytest.mark.deploy

_UNIT = DEPLOY / "systemd/restate-shim.service"


def _analyze() -> str:
    return tool("systemd-analyze", "Debian systemd")


def _installed(folder: Path) -> Path:
    """Return the unit with a program that is there."""
    program = folder / "restate-shim"
    program.write_text(f"#!{sys.executable}\n")
    program.chmod(0o755)
    text = _UNIT.read_text()
    command = "/opt/restate-shim/bin/restate-shim"
    assert text.count(command) == 1
    unit = folder / _UNIT.name
    unit.write_text(text.replace(command, str(program)))
    return unit


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    said = run(_analyze(), "verify", "--man=no", str(_installed(tmp_path)))
    assert _UNIT.name not in said, said


def test_a_mistake_in_the_unit_would_be_noticed(tmp_path: Path) -> None:
    unit = _installed(tmp_path)
    unit.write_text(unit.read_text().replace("ProtectHome=yes", "ProtectHomes=yes"))
    command = [_analyze(), "verify", "--man=no", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert "ProtectHomes" in done.stderr


def test_its_exposure_is_the_one_that_the_readme_states(tmp_path: Path) -> None:
    unit = _installed(tmp_path)
    said = run(_analyze(), "security", "--offline=true", "--threshold=15", str(unit))
    found = re.search(r"exposure level for \S+: ([\d.]+)", said)
    assert found is not None
    stated = re.search(r"scores it ([\d.]+)", (DEPLOY / "README.md").read_text())
    assert stated is not None
    # Versions of systemd differ in what they count.
    assert float(found[1]) == pytest.approx(float(stated[1]), abs=0.3)


def _system_calls(groups: str) -> set[str]:
    """Return what is in a group of system calls, and in the groups in it."""
    said = run(_analyze(), "syscall-filter", "--no-pager", groups)
    names = set(re.findall(r"^ +([a-z]\w+)$", said, re.MULTILINE))
    inner = set(re.findall(r"^ +(@[\w-]+)$", said, re.MULTILINE))
    return names.union(*(_system_calls(group) for group in inner))


def test_the_filter_denies_nothing_that_a_shim_does(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    program = [tool("strace", "Debian strace"), "-f", "-o", str(trace), *SERVE]
    settings = ("--ops-listen", "127.0.0.1:0", "--ledger", str(tmp_path / "ledger.db"))
    origin = Origin()
    listen = f"unix:{tmp_path}/shim.sock"
    process = subprocess.Popen(
        [*program, "--upstream", origin.url, "--listen", listen, *settings],
        stdout=subprocess.PIPE,
        env=environment(),
    )
    try:
        assert process.stdout is not None
        assert b'"listening"' in process.stdout.readline()
        assert ask(listen, request("DELETE", "/invocations/inv_1")).status == 202
        (shim,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.kill(int(shim), signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        process.kill()
        process.wait(10)
        origin.close()
    calls = set(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.MULTILINE))
    assert len(calls) > 50
    allowed = _system_calls("@system-service") | _system_calls("@default")
    denied = _system_calls("@privileged") | _system_calls("@resources")
    # SQLite hands files over to the owner of their folder where it is root, which it is not there.
    assert calls - allowed | calls & denied <= {"fchown"}
    assert "PROT_WRITE|PROT_EXEC" not in trace.read_text(), "MemoryDenyWriteExecute"


def test_the_shim_takes_its_settings(tmp_path: Path) -> None:
    text = _UNIT.read_text()
    environment = dict(re.findall(r"^Environment=(\w+)=(.*)$", text, re.MULTILINE))
    assert environment.pop("SHIM_CONFIG") == "/etc/restate-shim/shim.toml"
    config = DEPLOY / "systemd/shim.toml"
    settings = load({}, environment, config)
    state = re.search(r"^StateDirectory=(.*)$", text, re.MULTILINE)
    assert state is not None
    assert settings.ledger == Path("/var/lib") / state[1] / "ledger.db"


def test_the_shim_is_given_the_time_it_takes_to_end() -> None:
    grace = load({}, {}, DEPLOY / "systemd/shim.toml").shutdown_grace.total_seconds()
    limit = re.search(r"^TimeoutStopSec=(\d+)$", _UNIT.read_text(), re.MULTILINE)
    assert limit is not None
    assert int(limit[1]) > grace


# The port swap: a drop-in for each of the two units

_SWAP = DEPLOY / "systemd/swap"


def _settings_of(text: str) -> dict[str, str]:
    """Return the environment that a unit or drop-in gives."""
    lines = re.findall(r"^Environment=(.*)$", text, re.MULTILINE)
    return dict(word.split("=", 1) for line in lines for word in shlex.split(line))


def test_the_swap_moves_restate_to_where_the_shim_looks_for_it() -> None:
    environment = _settings_of(_UNIT.read_text())
    assert environment.pop("SHIM_CONFIG") == "/etc/restate-shim/shim.toml"
    environment |= _settings_of((_SWAP / "restate-shim.conf").read_text())
    settings = load({}, environment, DEPLOY / "systemd/shim.toml")
    (upstream,) = settings.upstream
    moved = _settings_of((_SWAP / "restate.conf").read_text())
    assert moved == {"RESTATE_ADMIN__BIND_ADDRESS": f"{upstream.host}:{upstream.port}"}
    assert (settings.listen.host, settings.listen.port) == ("::", 9070)


def test_before_the_swap_the_shim_is_beside_restate() -> None:
    settings = load({}, {}, DEPLOY / "systemd/shim.toml")
    assert settings.listen.port == 9170
    assert settings.upstream[0].port == 9070


def test_systemd_takes_the_units_with_their_drop_ins(tmp_path: Path) -> None:
    units = [_installed(tmp_path), tmp_path / "restate.service"]
    units[1].write_text("[Service]\nExecStart=/bin/true\n")
    for unit, name in zip(units, ("restate-shim.conf", "restate.conf"), strict=True):
        folder = tmp_path / f"{unit.name}.d"
        folder.mkdir()
        (folder / "swap.conf").write_text((_SWAP / name).read_text())
    said = run(_analyze(), "verify", "--man=no", *map(str, units))
    assert "swap.conf" not in said, said
