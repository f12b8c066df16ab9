"""Places in source code beside the callers that they may be."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shim.ledger.evidence import CallerFacts, merge
from shim.report.formats import FORMATS
from shim.report.formats.rendering import render
from shim.report.places import PlacesError, places_of, read_places
from shim.report.words import details
from tests.support.running import restate_shim
from tests.support.samples import NOW, recorded, report_of, up, used

FINDING = {
    "path": "jobs/reap.py",
    "line": 12,
    "column": 3,
    "language": "python",
    "mode": "kill",
    "confidence": "certain",
    "code": "requests.delete(url)",
    "replacement": "requests.patch(url)",
    "reason": "mode=kill",
}


def write(folder: Path, *changes: dict[str, Any]) -> Path:
    file = folder / "findings.json"
    findings = [FINDING | change for change in changes]
    file.write_text(json.dumps({"findings": findings, "files": 9, "skipped": [], "ignored": 0}))
    return file


@pytest.mark.parametrize(
    ("change", "agent", "modes", "found"),
    [
        ({}, "python-requests/2.32.3", ["kill"], True),
        ({}, "python-requests/2.32.3", ["cancel"], False),
        ({"mode": None}, "python-requests/2.32.3", ["cancel"], True),
        ({}, "Go-http-client/2.0", ["kill"], False),
        ({"language": "go"}, "Go-http-client/2.0", ["kill"], True),
        ({"language": "kotlin"}, "Java-http-client/21.0.2", ["kill"], True),
        ({"language": "tsx"}, "node", ["kill"], True),
        ({"language": "yaml", "code": "curl -X DELETE"}, "curl/8.5.0", ["kill"], True),
        ({"language": "text", "code": "- -X"}, "curl/8.5.0", ["kill"], True),
        (
            {"language": "text", "code": "FROM restatedev/restate:1.4"},
            "restate-cli/1.4.0",
            ["kill"],
            True,
        ),
        ({}, "curl/8.5.0", ["kill"], False),
        ({}, None, ["kill"], False),
    ],
)
def test_a_place_looks_like_callers_of_its_language_and_mode(
    change: dict[str, Any], agent: str | None, modes: list[str], found: bool, tmp_path: Path
) -> None:
    places = read_places(write(tmp_path, change))
    assert bool(places_of(places, [agent], modes)) == found


def test_what_looks_like_nobody_s_is_listed_apart_in_every_format(tmp_path: Path) -> None:
    places = read_places(write(tmp_path, {}, {"path": "cron/yearly.rb", "language": "ruby"}))
    facts = CallerFacts(user_agent="python-requests/2.32.3", replacement=None)
    evidence = merge([used("reaper", 1, mode="kill"), recorded(up(NOW), callers={"reaper": facts})])
    report = report_of(evidence, places=places)
    (caller,) = report.callers
    assert "made, perhaps, at jobs/reap.py:12" in details(caller, NOW)
    assert report.as_json()["unseen_places"] == ["cron/yearly.rb:12"]
    assert report.as_json()["callers"][0]["places"] == ["jobs/reap.py:12"]
    for style in set(FORMATS) - {"csv"}:
        assert "cron/yearly.rb" in render(report, style)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"findings": [{"path": 1}]}', "\x00"])
def test_a_file_of_something_else_is_said(content: str, tmp_path: Path) -> None:
    file = tmp_path / "findings.json"
    file.write_text(content)
    with pytest.raises(PlacesError, match="takes what restate-shim scan --format json prints"):
        read_places(file)
    with pytest.raises(PlacesError, match="cannot be read: No such file"):
        read_places(tmp_path / "none")


def test_what_a_scan_prints_is_what_the_report_takes(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(
        'import requests\nrequests.delete(f"http://restate:9070/invocations/{id}?mode=kill")\n'
    )
    done: subprocess.CompletedProcess[str] = restate_shim("scan", str(tmp_path), "--format", "json")
    assert done.returncode == 3
    file = tmp_path / "findings.json"
    file.write_text(done.stdout)
    (place,) = read_places(file)
    assert (Path(place.path).name, place.line, place.mode) == ("job.py", 2, "kill")
