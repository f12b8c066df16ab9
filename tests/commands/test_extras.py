"""A command without its extra says so first, and says a line that gets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.running import environment


def without(module: str, *words: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Run a command where `module` is not installed, and `path` has the only programs."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        f"from shim.cli import main\nsys.exit(main({list(words)!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env=environment(PATH=str(path)),
        cwd=path,
        check=False,
        timeout=60,
    )


# No index of packages has a restate-shim: the line named one that anybody could have registered.
@pytest.mark.parametrize(
    ("module", "words", "code", "says"),
    [
        ("ast_grep_py", ("scan", "."), 2, "restate-shim scan: ast_grep_py is missing; "),
        ("restate", ("demo", "--once"), 1, "restate-shim demo: restate is missing; "),
        ("hypercorn", ("demo", "--once"), 1, "restate-shim demo: hypercorn is missing; "),
        (
            "psycopg",
            ("report", "--fleet", "postgresql://db.example/shim"),
            2,
            "restate-shim report: cannot read the record: a fleet needs psycopg; ",
        ),
    ],
)
def test_it_says_in_one_line_what_to_install(
    module: str, words: tuple[str, ...], code: int, says: str, tmp_path: Path
) -> None:
    ended = without(module, *words, path=tmp_path)
    extra = words[0] if words[0] != "report" else "fleet"
    assert ended.returncode == code
    assert ended.stderr == (
        f"{says}install the extra '{extra}' where you installed restate-shim from: "
        f"pip install '.[{extra}]' in its checkout\n"
    )


# 433 MB came first, and then it failed.
def test_the_demo_asks_for_its_extra_before_anything_is_downloaded(tmp_path: Path) -> None:
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\necho > {tmp_path}/asked\n")
    npm.chmod(0o755)
    assert without("restate", "demo", "--once", path=tmp_path).returncode == 1
    assert [one.name for one in tmp_path.iterdir()] == ["npm"]


def test_no_line_names_a_package_of_an_index() -> None:
    pages = [ROOT / "README.md", *(ROOT / "deploy").glob("*.md"), *(ROOT / "shim").rglob("*.py")]
    assert [page for page in pages if "restate-shim[" in page.read_text()] == []
