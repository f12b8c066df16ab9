"""Restate's server and command line, installed from npm into a folder of their own."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
    if not (found := installed(package, version, folder)):
        home = _home(package, version, folder)
        with _alone(folder):
            # Another may have installed it meanwhile.
            if not installed(package, version, folder):
                _install(f"{package}@{version}", home)
        found = installed(package, version, folder)
    if not found:
        raise InstallError(f"{package}@{version} has no program for this machine")
    return found


def installed(package: str, version: str, folder: Path = FOLDER) -> Path | None:
    """Return the program of ``package`` at ``version`` where it is there already."""
    name = _PROGRAMS[package]
    home = _home(package, version, folder)
    found = sorted(home.glob(f"node_modules/@restatedev/{name}-*/bin/{name}"))
    return found[0] if found else None


def size(package: str, version: str, folder: Path = FOLDER) -> int:
    """Return how many bytes of ``package`` at ``version`` are on the disk by now."""
    home = _home(package, version, folder)
    total = 0
    for place in (home, _unfinished(home)):
        for file in place.rglob("*"):
            # npm moves files while it works.
            with suppress(OSError):
                total += file.lstat().st_size
    return total


def _home(package: str, version: str, folder: Path) -> Path:
    return folder.absolute() / f"{_PROGRAMS[package]}-{version}"


def _unfinished(home: Path) -> Path:
    return home.with_name(f"{home.name}.part")


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
    # Whoever ends it in between leaves no half of a program where a whole one is looked for.
    part = _unfinished(home)
    for place in (home, part):
        shutil.rmtree(place, ignore_errors=True)
    part.mkdir(parents=True)
    command = [npm, "install", "--no-save", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        [*command, "--prefix", str(part), spec], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise InstallError(f"npm cannot install {spec}:\n{done.stderr.strip()[-2000:]}")
    part.rename(home)
