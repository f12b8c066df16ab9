"""The end of `make test` on a machine that lacks programs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import EVERYTHING
from tests.support.paths import ROOT
from tests.support.running import environment


def debian(text: str) -> set[str]:
    """The packages that are installed by the first apt-get of a text."""
    (found,) = re.findall(r"apt-get(?: -\S+ \S+)* install ([^&>]+)", text.replace("\\\n", " "))
    return {word for word in found.split() if not word.startswith("-")}


# It came 17 lines before the end, and the line had no npm.
def test_the_last_lines_say_what_was_skipped_and_how_to_get_it(tmp_path: Path) -> None:
    # A Python that has no programs beside it, either.
    python = tmp_path / "python"
    python.symlink_to(sys.executable)
    code = f"import sys, pytest; sys.executable = {str(python)!r}; pytest.console_main()"
    ended = subprocess.run(
        [
            *(sys.executable, "-c", code),
            *("-p", "no:cacheprovider", "tests/deploy/test_commands.py", "-k", "promtool"),
        ],
        cwd=ROOT,
        env={**environment(PATH=str(tmp_path)), "CI": "", "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    *_, skipped, line, last = ended.stdout.splitlines()
    assert skipped == "2 tests were skipped for want of: promtool (Debian prometheus)"
    assert line == f"On Debian as root, this gets it all: {EVERYTHING}"
    assert "2 skipped" in last


def test_the_line_gets_what_ci_gets_and_npm() -> None:
    assert debian(EVERYTHING) == debian((ROOT / ".ci/run").read_text()) | {"npm"}
