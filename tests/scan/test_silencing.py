"""Which lines a comment silences, and that a reason is asked for."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from shim.scan.finding import Confidence
from shim.scan.scan import Scan, scan

KILL = 'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=kill")\n'
CURL = 'curl -X DELETE "http://restate:9070/invocations/$1?mode=kill"'
FETCH = "await fetch(`http://restate:9070/invocations/${i}`, { method: 'DELETE' });"
WHY = "restate-shim: ignore PLAT-812"


def scanned(folder: Path) -> Scan:
    return scan([folder], Confidence.LIKELY)


@pytest.mark.parametrize(
    ("code", "silenced"),
    [
        (KILL.strip() + "  # restate-shim: ignore the shim is before it until March\n", True),
        ("# restate-shim: ignore, PLAT-812\n" + KILL, True),
        ("# restate-shim: ignore - the shim's own test\n" + KILL, True),
        ("# restate-shim: ignore\n" + KILL, False),
        ("# restate-shim: ignored\n" + KILL, False),
        ("# restate-shim: ignore PLAT-812\n\n" + KILL, False),
        ("# restate-shim: ignore PLAT-812\n# why, at length\n" + KILL, False),
        (KILL + "# restate-shim: ignore PLAT-812\n", False),
        ("# restate-shim: ignore-not PLAT-812\n" + KILL, False),
        ("# restate-shim: ignore one\n# restate-shim: ignore two\n" + KILL, True),
    ],
)
def test_a_comment_with_a_reason_silences_its_line_and_the_next(
    tmp_path: Path, code: str, silenced: bool
) -> None:
    (tmp_path / "a.py").write_text(code)
    found = scanned(tmp_path)
    assert (len(found.findings), found.ignored) == ((0, 1) if silenced else (1, 0))


@pytest.mark.parametrize(
    "comment",
    ["<!-- restate-shim: ignore -->", "/* restate-shim: ignore */", "// restate-shim: ignore:"],
)
def test_the_end_of_a_comment_is_no_reason(tmp_path: Path, comment: str) -> None:
    (tmp_path / "a.js").write_text(
        comment + "\nawait fetch(`${RESTATE_ADMIN}/invocations/${i}`, { method: 'DELETE' });\n"
    )
    assert scanned(tmp_path).ignored == 0


# The line above silenced whatever it held: also where the comment was of a call of its own.
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.sh", f"{CURL} # {WHY}\n{CURL}\n"),
        ("a.py", f"{KILL.strip()}  # {WHY}\n{KILL}"),
        (
            "a.ts",
            f"{FETCH} // {WHY}\n{FETCH}\n",
        ),
        ("a.yaml", f"steps:\n  - run: {CURL} # {WHY}\n  - run: {CURL}\n"),
    ],
)
def test_a_comment_behind_a_call_silences_no_other(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / name).write_text(code)
    found = scanned(tmp_path)
    assert (len(found.findings), found.ignored) == (1, 1)


# Of a call over several lines only the first was looked at.
@pytest.mark.parametrize(
    ("name", "code"),
    [
        (
            "a.py",
            f"""
            requests.delete(
                f"{{RESTATE_ADMIN}}/invocations/{{i}}",
                params={{"mode": "kill"}},  # {WHY}
            )
            """,
        ),
        (
            "a.py",
            f"""
            requests.delete(
                f"{{RESTATE_ADMIN}}/invocations/{{i}}?mode=kill",
                timeout=3,
            )  # {WHY}
            """,
        ),
        (
            "a.sh",
            f"""
            curl -X DELETE \\
                "http://restate:9070/invocations/$1?mode=kill" # {WHY}
            """,
        ),
    ],
)
def test_a_comment_on_any_line_of_a_call_silences_it(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / name).write_text(textwrap.dedent(code))
    found = scanned(tmp_path)
    assert (len(found.findings), found.ignored) == (0, 1)


BLOCKS = {
    "a.yaml": f"""
        steps:
          # {WHY}
          - run: |
              set -e
              {CURL}

              {CURL}
          - run: |
              {CURL}
        """,
    "a.md": f"""
        <!-- {WHY} -->
        ```bash
        {CURL}
        {CURL}
        ```

        ```bash
        {CURL}
        ```
        """,
}


@pytest.mark.parametrize("name", sorted(BLOCKS))
def test_a_comment_above_a_block_silences_what_is_in_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(textwrap.dedent(BLOCKS[name]))
    found = scanned(tmp_path)
    assert (len(found.findings), found.ignored) == (1, 2)


def test_many_blocks_that_never_end_are_gone_through_once(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(f"<!-- {WHY} -->\n```bash\n" * 5000 + CURL + "\n")
    assert scanned(tmp_path).findings == ()
