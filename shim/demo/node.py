"""Restate's server and command line, installed from npm into a folder of their own."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

FOLDER: Final = Path(".demo")
SERVER: Final = "@restatedev/restate-server"
CLI: Final = "@restatedev/restate"
_PROGRAMS: Final = {SERVER: "restate-server", CLI: "restate"}


class InstallError(Exception):
    """A package cannot be had; the message says why and what to do."""


def program(package: str, version: str, folder: Path = FOLDER) -> Path:
    """Return the program of ``package`` at ``version``, installed first if it is not there yet.

    It is the native program, not npm's wrapper, which would outlive what it starts.
    """
    name = _PROGRAMS[package]
    home = folder.absolute() / f"{name}-{version}"
    if not (found := _find(home, name)):
        with _alone(folder):
            # Another may have installed it meanwhile.
            if not _find(home, name):
                _install(f"{package}@{version}", home)
        found = _find(home, name)
    if not found:
        raise InstallError(f"{package}@{version} has no program for this machine")
    return found


def _find(home: Path, name: str) -> Path | None:
    found = sorted(home.glob(f"node_modules/@restatedev/{name}-*/bin/{name}"))
    return found[0] if found else None


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time install something into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(spec: str, home: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        raise InstallError("npm is missing: install Node.js with npm (https://nodejs.org)")
    home.mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        [*command, "--prefix", str(home), spec], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise InstallError(f"npm cannot install {spec}:\n{done.stderr.strip()[-2000:]}")
