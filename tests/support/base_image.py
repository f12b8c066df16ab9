"""A base image out of the Python that runs the tests: bases cannot be pulled everywhere.

It has the layout of ``python:slim``, as far as the Dockerfile relies on it: ``python`` with pip on
the PATH, a shell, the few commands that the build uses, certificates.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

_COMMANDS = ("sh", "mkdir", "touch", "find", "cat", "ls", "env")
_LEFT_OUT = ("test", "idlelib", "tkinter", "turtledemo", "site-packages", "dist-packages")


def make_root(root: Path) -> None:
    """Fill the empty directory ``root`` with a root file system."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    binary = Path(os.path.realpath(sys.executable))
    library = root / "usr/local/lib" / version
    for directory in ("bin", "etc/ssl/certs", "usr/local/bin", "tmp", "proc", "sys", "dev", "root"):
        (root / directory).mkdir(parents=True)
    for name in ("python", "python3", version):
        shutil.copy2(binary, root / "usr/local/bin" / name)
    shutil.copytree(
        sysconfig.get_path("stdlib"),
        library,
        ignore=shutil.ignore_patterns(*_LEFT_OUT, "__pycache__", "config-*", "*.a"),
    )
    pip = importlib.util.find_spec("pip")
    assert pip is not None
    assert pip.origin is not None
    shutil.copytree(
        Path(pip.origin).parent,
        library / "site-packages/pip",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (library / "dist-packages").symlink_to("site-packages")  # where Debian's Python looks
    commands = [_found(name) for name in _COMMANDS]
    for name, command in zip(_COMMANDS, commands, strict=True):
        shutil.copy2(command, root / "bin" / name)
    extensions = [str(path) for path in library.rglob("*.so")]
    for needed in _libraries([str(binary), *commands, *extensions]):
        target = root / needed.lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(os.path.realpath(needed), target)
    certificates = Path("/etc/ssl/certs/ca-certificates.crt")
    if certificates.is_file():
        shutil.copy2(certificates, root / "etc/ssl/certs")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")


def _found(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"{name} is missing"
    return os.path.realpath(path)


def _libraries(programs: Iterable[str]) -> set[str]:
    """Return what the programs are linked with, and what wheels expect any system to have."""
    listing = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=False).stdout
    needed = set(re.findall(r"(/\S+\.so\S*) \(0x", listing))
    loader = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    for name in ("libdl.so.2", "librt.so.1", "libpthread.so.0", "libgcc_s.so.1", "libstdc++.so.6"):
        if match := re.search(rf"{re.escape(name)} \(libc6,x86-64[^)]*\) => (\S+)", loader):
            needed.add(match[1])
    return needed
