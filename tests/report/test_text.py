"""Text of strangers in reports, and lines for a shell."""

from __future__ import annotations

import shlex
import subprocess
import unicodedata

import pytest

from shim.report.text import curl_line, plain
from tests.support.samples import HOSTILE


@pytest.mark.parametrize(
    ("replacement", "line"),
    [
        ("PATCH /invocations/inv_1/kill",
         'curl -X PATCH "$RESTATE_ADMIN_URL"/invocations/inv_1/kill'),
        ("PATCH /v2/invocations/a%2Fb/purge",
         'curl -X PATCH "$RESTATE_ADMIN_URL"/v2/invocations/a%2Fb/purge'),
        ("PATCH /invocations/$(id)/kill",
         "curl -X PATCH \"$RESTATE_ADMIN_URL\"'/invocations/$(id)/kill'"),
        ("PATCH /invocations/{a,b}/kill",
         "curl -X PATCH --globoff \"$RESTATE_ADMIN_URL\"'/invocations/{a,b}/kill'"),
        ("PATCH /invocations/../kill",
         'curl -X PATCH --path-as-is "$RESTATE_ADMIN_URL"/invocations/../kill'),
        ("PATCH /invocations/\u202ex/kill",
         'curl -X PATCH "$RESTATE_ADMIN_URL"/invocations/INVOCATION_ID/kill'),
        ("PATCH /v3/invocations/" + "x" * 999 + "/kill",
         'curl -X PATCH "$RESTATE_ADMIN_URL"/v3/invocations/INVOCATION_ID/kill'),
        ("DELETE /x", None),
        (None, None),
    ],
)  # fmt: skip
def test_the_replacement_is_a_line_for_a_shell(replacement: str | None, line: str | None) -> None:
    assert curl_line(replacement) == line


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_a_pasted_line_runs_curl_and_nothing_else(name: str) -> None:
    line = curl_line(f"PATCH /invocations/{name}/kill")
    if line is None:
        return
    words = shlex.split(line)
    assert words[:3] == ["curl", "-X", "PATCH"]
    assert all(word.startswith(("--", "$RESTATE_ADMIN_URL/")) for word in words[3:])
    shown = subprocess.run(
        ["/bin/sh", "-c", line.replace("curl", "printf '%s\\n'", 1)],
        env={"RESTATE_ADMIN_URL": "http://x"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.splitlines()[-1] == words[-1].replace("$RESTATE_ADMIN_URL", "http://x")


@pytest.mark.parametrize("name", HOSTILE.values(), ids=HOSTILE)
def test_plain_text_has_nothing_invisible_and_is_short(name: str) -> None:
    text = plain(name)
    assert not {unicodedata.category(c) for c in text} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
    assert len(name) < 100 or len(text) <= 80
