"""The forms in which a scan is told."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from markdown_it import MarkdownIt

from shim.scan.finding import Confidence, Finding, Skipped
from shim.scan.formats.markdown import as_markdown
from shim.scan.formats.sarif import as_sarif
from shim.scan.formats.table import write_table
from shim.scan.scan import Scan, scan

# The schema of SARIF 2.1.0, of the package @microsoft/jest-sarif (MIT).
SCHEMA = json.loads((Path(__file__).parent / "sarif-2.1.0.json").read_text())


def a_finding(**changes: Any) -> Finding:
    values: dict[str, Any] = {
        "path": "src/a b.py",
        "line": 3,
        "column": 5,
        "language": "python",
        "mode": "kill",
        "confidence": Confidence.CERTAIN,
        "code": 'requests.delete("/invocations/x?mode=kill")',
        "replacement": 'requests.patch("/invocations/x/kill")',
        "reason": "DELETE; handle 404 and 409",
    }
    values |= changes
    return Finding(**{"in_repository": values["path"]} | values)


EMPTY = Scan((), 3, (), 0)
FULL = Scan(
    (
        a_finding(),
        a_finding(mode=None, confidence=Confidence.LIKELY, path="/abs/é.py"),
        a_finding(confidence=Confidence.POSSIBLE, code="```\n`x`\n```", path="../up.py"),
        a_finding(mode=None, reason="the CLI before 1.5: upgrade to 1.5 or later"),
    ),
    4,
    (Skipped("b.bin", "binary"),),
    2,
)


@pytest.mark.parametrize("found", [EMPTY, FULL])
def test_sarif_is_what_its_schema_says(found: Scan) -> None:
    jsonschema.Draft4Validator(SCHEMA).validate(as_sarif(found))


def test_the_schema_refuses_what_is_no_sarif() -> None:
    log = as_sarif(FULL)
    del log["runs"][0]["tool"]["driver"]["name"]
    assert not jsonschema.Draft4Validator(SCHEMA).is_valid(log)


def test_sarif_says_where_and_how_sure() -> None:
    run = as_sarif(FULL)["runs"][0]
    levels = [(one["ruleId"], one["level"]) for one in run["results"]]
    assert levels == [
        ("old-call", "error"),
        ("old-call", "warning"),
        ("old-call", "note"),
        ("old-version", "error"),
    ]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
    place = run["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "src/a%20b.py"
    assert (place["region"]["startLine"], place["region"]["startColumn"]) == (3, 5)


def test_markdown_shows_code_as_code_whatever_is_in_it() -> None:
    tokens = MarkdownIt().parse(as_markdown(FULL))
    blocks = [token.content.rstrip("\n") for token in tokens if token.type == "fence"]
    assert blocks[0] == FULL.findings[0].code
    assert blocks[1] == FULL.findings[0].replacement
    assert blocks[4] == "```\n`x`\n```"


def test_a_table_shows_the_code_and_the_new_call() -> None:
    out = io.StringIO()
    write_table(FULL, out)
    told = out.getvalue()
    assert "src/a b.py:3:5" in told
    assert '    requests.delete("/invocations/x?mode=kill")\n' in told
    assert '    requests.patch("/invocations/x/kill")\n' in told
    assert told.endswith("4 old calls in 4 files, 1 skipped, 2 silenced\n")


def test_what_stands_in_files_moves_no_cursor(tmp_path: Path) -> None:
    path = tmp_path / "a.sh"
    path.write_text("curl -X DELETE 'http://localhost:9070/invocations/x\x1b[2J?mode=kill'\n")
    found = scan([path], Confidence.POSSIBLE)
    out = io.StringIO()
    write_table(found, out)
    assert found.findings
    assert "\x1b" not in out.getvalue() + as_markdown(found)
