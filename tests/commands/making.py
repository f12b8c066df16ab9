"""A copy of the tree in which `make` runs, on a Python for which the network is never asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.support.paths import ROOT

# A Python of whatever version; its `pip` writes down what it is asked for. The venvs that it makes
# have the same, and the commands of this checkout.
_STANDS_IN: Final = f"""#!{sys.executable}
import os, pathlib, sys, types

here = pathlib.Path(__file__)
version = here.with_suffix(".version").read_text()
match sys.argv[1:]:
    case ["-c", code]:
        sys.version_info = (*map(int, version.split(".")), 0, "final", 0)
        sys.modules["pip"] = types.ModuleType("pip")
        exec(code)
    case ["-m", "venv", folder]:
        bin = pathlib.Path(folder, "bin")
        bin.mkdir(parents=True)
        for name in "python", "restate-shim":
            (bin / name).write_text(here.read_text())
            (bin / name).chmod(0o755)
            (bin / name).with_suffix(".version").write_text(version)
    case ["-m", "pip", *words]:
        with open("asked", "a") as asked:
            print(version, *words, file=asked)
    case words:
        words = ["-m", "shim", *words] if here.name == "restate-shim" else words
        os.execv({sys.executable!r}, [{sys.executable!r}, *words])
"""


def a_python(folder: Path, version: str) -> Path:
    """Put such a Python into `folder`."""
    path = folder / f"python-{version}".replace(".", "-")
    path.write_text(_STANDS_IN)
    path.chmod(0o755)
    path.with_suffix(".version").write_text(version)
    return path


class Tree:
    """A checkout of somebody's, in which nothing has been made yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "tree"
        self.folder.mkdir()
        self.python = a_python(folder, "3.12")
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, self.folder)
        for name in ("shim", "tests", ".demo"):
            (self.folder / name).symlink_to(ROOT / name)

    def command(self, *words: str) -> list[str]:
        """What somebody types; PYTHON is the Python that stands in, where none is named."""
        named = any(word.startswith("PYTHON=") for word in words)
        return ["make", *words, *([] if named else [f"PYTHON={self.python}"])]

    def environment(self, **more: str) -> dict[str, str]:
        """Without what a `make` around the tests has set."""
        theirs = ("MAKE", "MFLAGS", "PYTHON", "SHIM_", "PYTEST_", "VIRTUAL_ENV")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(theirs)}
        return {**kept, "PYTHONPATH": str(self.folder), "PYTHONDONTWRITEBYTECODE": "1", **more}

    def make(self, *words: str, **env: str) -> str:
        """Make something that is to succeed; return what was said."""
        done = subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env=self.environment(**env),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=100,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def asked(self) -> list[str]:
        """What pips were asked for since the last time, each with its Python's version."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return lines
