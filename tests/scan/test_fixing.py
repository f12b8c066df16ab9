"""Rewriting: what is certain and simple, and nothing else; what is left parses."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.scan.finding import Confidence
from shim.scan.fixing import rewrites
from shim.scan.rewriting import still_parses
from shim.scan.scan import scan


def fixed(folder: Path, name: str, code: str) -> str:
    path = folder / name
    path.write_bytes(code.encode())
    for rewrite in rewrites(scan([folder], Confidence.LIKELY)):
        rewrite.write()
    return path.read_bytes().decode()


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "a.sh",
            'curl -X DELETE "$RESTATE_ADMIN/invocations/$id?mode=kill"\n',
            'curl -X PATCH "$RESTATE_ADMIN/invocations/$id/kill"\n',
        ),
        (
            "a.sh",
            "curl http://localhost:9070/invocations/$id -XDELETE\n",
            "curl http://localhost:9070/invocations/$id/cancel -XPATCH\n",
        ),
        (
            "a.sh",
            "curl -s \\\n  --request DELETE \\\n  'http://localhost:9070/invocations/x?mode=Purge'\n",
            "curl -s \\\n  --request PATCH \\\n  'http://localhost:9070/invocations/x/purge'\n",
        ),
        (
            "a.yaml",
            "run: |\n  curl -X DELETE http://restate:9070/invocations/$ID?mode=kill\n",
            "run: |\n  curl -X PATCH http://restate:9070/invocations/$ID/kill\n",
        ),
        (
            "Makefile",
            "kill:\n\t@curl -sX DELETE $(RESTATE_ADMIN)/invocations/$(ID)?mode=kill\n",
            "kill:\n\t@curl -sX PATCH $(RESTATE_ADMIN)/invocations/$(ID)/kill\n",
        ),
        (
            "a.py",
            'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=kill", timeout=5)\n',
            'requests.patch(f"{RESTATE_ADMIN}/invocations/{i}/kill", timeout=5)\n',
        ),
        (
            "a.py",
            'requests.request("DELETE", f"{RESTATE_ADMIN}/invocations/{i}")\n',
            'requests.request("PATCH", f"{RESTATE_ADMIN}/invocations/{i}/cancel")\n',
        ),
        (
            "a.py",
            'requests.delete(RESTATE_ADMIN + "/invocations/" + i)\n',
            'requests.patch(RESTATE_ADMIN + "/invocations/" + i + "/cancel")\n',
        ),
        (
            "a.js",
            'await fetch(`${RESTATE_ADMIN}/invocations/${i}?mode=kill`, { method: "DELETE" });\r\n',
            'await fetch(`${RESTATE_ADMIN}/invocations/${i}/kill`, { method: "PATCH" });\r\n',
        ),
        (
            "a.ts",
            "fetch(RESTATE_ADMIN + '/invocations/' + i, { method: 'DELETE' });\n",
            "fetch(RESTATE_ADMIN + '/invocations/' + i + '/cancel', { method: 'PATCH' });\n",
        ),
        (
            "a.py",
            (
                "\ufeffrequests.delete(f'{RESTATE_ADMIN}/invocations/{i}?mode=kill')\n"
                "requests.delete(f'{RESTATE_ADMIN}/invocations/{j}?mode=purge')"
            ),
            (
                "\ufeffrequests.patch(f'{RESTATE_ADMIN}/invocations/{i}/kill')\n"
                "requests.patch(f'{RESTATE_ADMIN}/invocations/{j}/purge')"
            ),
        ),
    ],
)
def test_a_simple_call_is_rewritten(tmp_path: Path, name: str, before: str, after: str) -> None:
    assert fixed(tmp_path, name, before) == after


@pytest.mark.parametrize(
    ("name", "code"),
    [
        # Not certain.
        ("a.py", 'import restate\nrequests.delete(f"{base}/invocations/{i}")\n'),
        ("a.py", 'URL = "/invocations/{id}?mode=kill"\n'),
        # The mode is not known, or elsewhere.
        ("a.py", 'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode={mode}")\n'),
        ("a.py", 'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}", params={"mode": "kill"})\n'),
        ("a.py", 'requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=kill&x=1")\n'),
        ("a.sh", 'curl -G -X DELETE "$RESTATE_ADMIN/invocations/$i" -d mode=kill\n'),
        ("a.sh", 'curl -X DELETE "$RESTATE_ADMIN/invocations/$i?mode=$MODE"\n'),
        # The URL or the method stands elsewhere.
        ("a.py", 'u = f"{RESTATE_ADMIN}/invocations/{i}?mode=kill"\nrequests.delete(u)\n'),
        ("a.sh", 'M=DELETE\ncurl -X "$M" "$RESTATE_ADMIN/invocations/$i?mode=kill"\n'),
        # Somebody waits for the 202 of the old route.
        (
            "a.py",
            (
                'r = requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=kill")\n'
                "assert r.status_code == 202\n"
            ),
        ),
        (
            "a.sh",
            (
                'c=$(curl -s -w "%{http_code}" -X DELETE $RESTATE_ADMIN/invocations/$i)\n'
                '[ "$c" = 202 ]\n'
            ),
        ),
        # axios rejects what is no 2xx, as got and ky do.
        ("a.js", "await axios.delete(`${RESTATE_ADMIN}/invocations/${i}?mode=kill`);\n"),
        # A parameter's default, which is only one of its values.
        (
            "a.py",
            (
                'def f(i, mode="kill"):\n'
                '    requests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode={mode}")\n'
            ),
        ),
        ("a.sh", 'M=kill\ncurl -X DELETE "$RESTATE_ADMIN/invocations/$i?mode=$M"\n'),
        # What people read may be about the old call.
        ("a.md", "Run `curl -X DELETE localhost:9070/invocations/ID?mode=kill`.\n"),
        ("a.md", "Before:\n\n    curl -X DELETE localhost:9070/invocations/ID?mode=kill\n"),
        ("a.md", "```sh\ncurl -X DELETE localhost:9070/invocations/ID?mode=kill\n```\n"),
        ("a.md", '```py\nrequests.delete(f"{RESTATE_ADMIN}/invocations/{i}?mode=kill")\n```\n'),
        ("README", "curl -X DELETE localhost:9070/invocations/ID?mode=kill\n"),
        ("a.yml", "description: curl -X DELETE localhost:9070/invocations/ID?mode=kill\n"),
        # Languages where it is not that simple.
        (
            "a.rs",
            'fn f() { c.delete(format!("{restate_admin}/invocations/{i}?mode=kill")).send(); }\n',
        ),
    ],
)
def test_nothing_else_is_touched(tmp_path: Path, name: str, code: str) -> None:
    assert fixed(tmp_path, name, code) == code


def test_a_silenced_call_is_not_touched(tmp_path: Path) -> None:
    code = (
        'curl -X DELETE "$RESTATE_ADMIN/invocations/$i?mode=kill" # restate-shim: ignore PLAT-1\n'
    )
    assert fixed(tmp_path, "a.sh", code) == code


def test_a_link_is_not_written_through(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    real = elsewhere / "a.sh"
    real.write_text('curl -X DELETE "$RESTATE_ADMIN/invocations/$i?mode=kill"\n')
    link = tmp_path / "folder/a.sh"
    link.parent.mkdir()
    link.symlink_to(real)
    assert list(rewrites(scan([link.parent], Confidence.LIKELY))) == []


def test_what_does_not_parse_afterwards_is_refused() -> None:
    assert still_parses("f(1)\n", "f(2)\n", "python")
    assert not still_parses("f(1)\n", "f((2)\n", "python")


# What it did: a diff had the first line without the file's mark of the order of bytes.
def test_a_mark_of_the_order_of_bytes_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.sh"
    path.write_bytes(b"\xef\xbb\xbfcurl -X DELETE $RESTATE_ADMIN/invocations/$i\n")
    (rewrite,) = rewrites(scan([path], Confidence.LIKELY))
    assert rewrite.before.startswith("\ufeff")
    rewrite.write()
    assert path.read_bytes().startswith(b"\xef\xbb\xbfcurl -X PATCH")


def test_a_diff_says_what_changes_and_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.sh"
    code = 'curl -X DELETE "$RESTATE_ADMIN/invocations/$i?mode=kill"'
    path.write_text(code)
    (rewrite,) = rewrites(scan([path], Confidence.LIKELY))
    assert rewrite.diff().splitlines()[2:] == [
        "@@ -1 +1 @@",
        f"-{code}",
        "\\ No newline at end of file",
        '+curl -X PATCH "$RESTATE_ADMIN/invocations/$i/kill"',
        "\\ No newline at end of file",
    ]
    assert path.read_text() == code
