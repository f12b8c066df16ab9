"""Text of strangers in reports, and lines for a shell."""

from __future__ import annotations

import subprocess
import unicodedata

import pytest

from shim.report.text import curl_line, plain
from tests.support.samples import HOSTILE


@pytest.mark.parametrize(
    ("replacement", "line"),
    [
        ("PATCH /invocations/INVOCATION_ID/kill",
         'curl -X PATCH "$RESTATE_ADMIN_URL"/invocations/INVOCATION_ID/kill'),
        ("PATCH /v3/invocations/INVOCATION_ID/MODE",
         'curl -X PATCH "$RESTATE_ADMIN_URL"/v3/invocations/INVOCATION_ID/MODE'),
        ("PATCH /invocations/$(id)/kill",
         "curl -X PATCH \"$RESTATE_ADMIN_URL\"'/invocations/$(id)/kill'"),
        ("PATCH /invocations/\u202ex/kill", None),
        ("PATCH /invocations/a b/kill", None),
        ("PATCH /invocations/a/kill\n", None),
        ("DELETE /x", None),
        ("", None),
        (None, None),
    ],
)  # fmt: skip
def test_the_replacement_is_a_line_for_a_shell(replacement: str | None, line: str | None) -> None:
    assert curl_line(replacement) == line


@pytest.mark.parametrize("name", ["INVOCATION_ID", "';id;'", "`id`", "$(id)", "a&b|c>d", "\\"])
def test_a_pasted_line_runs_curl_and_nothing_else(name: str) -> None:
    line = curl_line(f"PATCH /invocations/{name}/kill")
    assert line is not None
    shown = subprocess.run(
        ["/bin/sh", "-c", line.replace("curl", "printf '%s\\n'", 1)],
        env={"RESTATE_ADMIN_URL": "http://x"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines() == ["-X", "PATCH", f"http://x/invocations/{name}/kill"]


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_plain_text_has_nothing_invisible_and_is_short(name: str) -> None:
    text = plain(name)
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(name) < 100 or len(text) <= 80
