"""A scan: what is found where, what is silenced, what is new, what is said of the rest."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shim.scan.documents import find_in_file
from shim.scan.finding import Confidence
from shim.scan.formats.markdown import as_markdown
from shim.scan.formats.sarif import as_sarif
from shim.scan.scan import BaselineError, Scan, find_guarded, scan, without_known
from tests.scan.corpus import pieces
from tests.scan.test_rules import NAMES
from tests.support.paths import ROOT

KILL = 'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=kill")\n'
PURGE = 'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=purge")\n'


def scanned(folder: Path, least: Confidence = Confidence.LIKELY) -> Scan:
    return scan([folder], least)


def lines(found: Scan) -> list[int]:
    return [one.line for one in found.findings]


def test_the_demos_own_old_callers_are_found() -> None:
    found = scanned(ROOT / "shim/demo").findings
    modes = sorted(str(one.mode) for one in found)
    # The server refuses ?mode=KILL, which was read as kill.
    assert modes == ["None", "cancel", "cancel", "cancel", "kill", "kill", "purge"]
    assert {Path(one.path).name for one in found} == {"callers.py"}


def test_files_are_counted_once_though_given_twice(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(KILL)
    found = scan([tmp_path, tmp_path / "a.py"], Confidence.LIKELY)
    assert (found.files, len(found.findings)) == (1, 1)


@pytest.mark.parametrize(
    ("least", "count"),
    [(Confidence.CERTAIN, 1), (Confidence.LIKELY, 2), (Confidence.POSSIBLE, 3)],
)
def test_only_what_is_sure_enough_is_told(tmp_path: Path, least: Confidence, count: int) -> None:
    (tmp_path / "certain.py").write_text(KILL)
    (tmp_path / "likely.py").write_text('URL = "/invocations/{id}?mode=kill"\n')
    (tmp_path / "possible.py").write_text('requests.delete(f"{base}/invocations/{i}")\n')
    assert len(scanned(tmp_path, least).findings) == count


def baseline_of(found: Scan) -> str:
    return json.dumps(found.as_json())


def test_what_a_baseline_has_is_not_told_again_though_lines_have_moved(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(KILL)
    before = baseline_of(scanned(tmp_path))
    path.write_text("import requests\n\n\n" + KILL + PURGE)
    assert lines(without_known(scanned(tmp_path), before)) == [5]


def test_one_more_of_the_same_is_new(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text(KILL)
    before = baseline_of(scanned(tmp_path))
    path.write_text(KILL + KILL)
    assert len(without_known(scanned(tmp_path), before).findings) == 1


def test_the_same_call_in_another_file_is_new(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(KILL)
    before = baseline_of(scanned(tmp_path))
    (tmp_path / "b.py").write_text(KILL)
    assert [Path(one.path).name for one in without_known(scanned(tmp_path), before).findings] == [
        "b.py"
    ]


# A baseline made from within a folder was of no use above it, nor the other way round.
@pytest.mark.parametrize("made_in", [".", "service", "service/src"])
@pytest.mark.parametrize("used_in", [".", "service", "service/src"])
def test_a_baseline_holds_wherever_in_the_repository_somebody_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_in: str, used_in: str
) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "service/src").mkdir(parents=True)
    (tmp_path / "service/src/a.py").write_text(KILL)
    monkeypatch.chdir(tmp_path / made_in)
    before = baseline_of(scanned(Path()))
    monkeypatch.chdir(tmp_path / used_in)
    for folder in (Path(), tmp_path):
        assert without_known(scanned(folder), before).findings == ()


# A baseline that lies among the sources held the old calls that it was to silence.
@pytest.mark.parametrize("form", ["json", "sarif", "markdown"])
def test_reports_that_lie_among_the_files_are_not_read(tmp_path: Path, form: str) -> None:
    (tmp_path / "a.sh").write_text(
        'curl -X DELETE "http://restate:9070/invocations/$i?mode=kill"\n'
    )
    found = scanned(tmp_path)
    report = {
        "json": json.dumps(found.as_json(), indent=2),
        "sarif": json.dumps(as_sarif(found), indent=2),
        "markdown": as_markdown(found),
    }[form]
    (tmp_path / f"report.{form}").write_text(report)
    again = scanned(tmp_path)
    assert again.findings == found.findings
    assert [one.reason for one in again.skipped] == ["a report of a scan"]


def test_other_json_is_read(tmp_path: Path) -> None:
    call = "curl -X DELETE http://restate:9070/invocations/$ID?mode=kill"
    (tmp_path / "package.json").write_text(json.dumps({"findings": {}, "scripts": {"kill": call}}))
    assert len(scanned(tmp_path).findings) == 1


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"findings": [1]}', '{"findings": 1}', "[" * 9999]
)
def test_a_baseline_that_is_no_report_is_refused(text: str) -> None:
    with pytest.raises(BaselineError, match="no JSON report of a scan"):
        without_known(Scan((), 0, (), 0), text)


def test_json_has_the_shape_that_others_read(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("import requests\n" + KILL)
    (tmp_path / "b.bin").write_bytes(b"\x00")
    assert scanned(tmp_path).as_json() == {
        "findings": [
            {
                "path": f"{tmp_path}/a.py",
                "line": 2,
                "column": 10,
                "language": "python",
                "mode": "kill",
                "confidence": "certain",
                "code": KILL.strip(),
                "replacement": 'requests.patch(f"{RESTATE_ADMIN}/invocations/{i}/kill")',
                "reason": "DELETE of /invocations/{id}: Restate by name; handle 404 "
                "(no such invocation) and 409 (it has completed), which 202 hid",
            }
        ],
        "files": 1,
        "skipped": [{"path": f"{tmp_path}/b.bin", "reason": "binary"}],
        "ignored": 0,
    }


# What it did: of one name's assignments it knew the first 200, and of a file's URLs the first 300.
@pytest.mark.parametrize(
    ("name", "call"),
    [
        (
            "a.py",
            "def f(i):\n    url = f'{ADMIN}/invocations/{i}?mode=kill'\n    requests.delete(url)\n",
        ),
        ("a.py", "URL = '/invocations/{id}?mode=kill'\n"),
    ],
    ids=["variables", "literals"],
)
def test_the_last_of_many_calls_is_found_as_the_first(tmp_path: Path, name: str, call: str) -> None:
    (tmp_path / name).write_text(call * 310)
    assert len(scanned(tmp_path).findings) == 310


def test_a_file_with_errors_is_said_and_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def broken(((\n    pass\n\n" + KILL)
    found = scanned(tmp_path)
    assert [one.mode for one in found.findings] == ["kill"]
    assert "no python from here on" in found.skipped[0].reason


def test_a_broken_notebook_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.ipynb").write_text('{"cells": "invocations delete')
    assert scanned(tmp_path).skipped[0].reason == "no notebook: its JSON cannot be read"


def names() -> Iterable[str]:
    return sorted({glob.replace("*", "a") for glob in NAMES.values()} | {"a.txt", "a"})


SEEDS = [piece.code.encode() for piece in pieces()]


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(list(names())),
    st.lists(
        st.one_of(
            st.sampled_from(SEEDS).flatmap(
                lambda seed: st.tuples(st.integers(0, len(seed)), st.integers(0, len(seed))).map(
                    lambda cut: seed[min(cut) : max(cut)]
                )
            ),
            st.binary(max_size=30),
            st.sampled_from(
                [b"${", b"{{", b"`", b'"""', b"(", b"\\\n", b"#{", b"%(", b"\r", b"\xe2\x80\xa8"]
            ),
        ),
        max_size=8,
    ),
)
def test_no_bytes_bring_it_down(name: str, parts: list[bytes]) -> None:
    text = b"".join(parts).decode("utf-8", "replace")
    contents = find_in_file(name, name, text, text.encode())
    for one in contents.findings:
        assert one.line >= 1
        assert one.column >= 1
        for edit in one.edits:
            assert 0 <= edit.start <= edit.end <= len(text)


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize(
    "text",
    [
        "(" * 8_000,
        "a(" * 800 + "'/invocations/x?mode=kill'",
        "x = " + "'/invocations/' + " * 1_000 + "'x'",
        "a.delete(" * 800 + "f'/invocations/{a}'" + ")" * 800,
        "x += x\n" * 800 + "requests.delete(x + '/invocations/' + x)",
        "curl -X DELETE /invocations/x \\\n" * 1_000,
        "A=$A$A/invocations/x\n" * 500 + "curl -X DELETE $A",
        "- a\n" * 800 + "- DELETE /invocations/x",
        "{" * 8_000 + '"delete /invocations/{id}": ',
        "```\n" * 800 + "delete invocations/",
    ],
    ids=[
        "parentheses",
        "calls",
        "sum",
        "nested",
        "itself",
        "lines",
        "variable",
        "items",
        "braces",
        "fences",
    ],
)
@pytest.mark.timeout(60)
def test_no_depth_brings_it_down(name: str, text: str) -> None:
    find_guarded(name, name, text, text.encode())
