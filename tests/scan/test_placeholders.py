"""A mode is written behind a placeholder, never into it, by `--fix` and in what is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.scan.documents import find_in_file
from shim.scan.urls import url_in
from tests.scan.test_fixing import fixed


# What it did: /cancel stood at the first space of a placeholder, ${{/cancel inputs.id }}.
@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        (
            "a.yml",
            "- run: curl -X DELETE http://restate:9070/invocations/${{ inputs.id }}\n",
            "- run: curl -X PATCH http://restate:9070/invocations/${{ inputs.id }}/cancel\n",
        ),
        (
            "a.yml",
            "- run: >-\n   curl -X DELETE\n   http://restate:9070/invocations/${{ env.X }}\n",
            "- run: >-\n   curl -X PATCH\n   http://restate:9070/invocations/${{ env.X }}/cancel\n",
        ),
        (
            "a.yml",
            '- shell: curl -X DELETE "http://localhost:9070/invocations/{{ item }}"\n',
            '- shell: curl -X PATCH "http://localhost:9070/invocations/{{ item }}/cancel"\n',
        ),
        (
            "a.yml",
            "- command: curl -X DELETE http://localhost:9070/invocations/{{ item }}\n",
            "- command: curl -X PATCH http://localhost:9070/invocations/{{ item }}/cancel\n",
        ),
        (
            "a.yml",
            "- shell: |\n    curl -X DELETE 'http://localhost:9070/invocations/{{ item }}'\n",
            "- shell: |\n    curl -X PATCH 'http://localhost:9070/invocations/{{ item }}/cancel'\n",
        ),
        (
            "a.yml",
            '- shell: "curl -X DELETE \\"http://localhost:9070/invocations/{{ item }}\\""\n',
            '- shell: "curl -X PATCH \\"http://localhost:9070/invocations/{{ item }}/cancel\\""\n',
        ),
        (
            "a.sh",
            'curl -X DELETE "http://restate:9070/invocations/$(cat id)"\n',
            'curl -X PATCH "http://restate:9070/invocations/$(cat id)/cancel"\n',
        ),
        (
            "a.sh",
            "curl -X DELETE http://restate:9070/invocations/${ids[$n]}\n",
            "curl -X PATCH http://restate:9070/invocations/${ids[$n]}/cancel\n",
        ),
        (
            "Makefile",
            'kill:\n\tcurl -X DELETE "http://restate:9070/invocations/$(shell cat id)"\n',
            'kill:\n\tcurl -X PATCH "http://restate:9070/invocations/$(shell cat id)/cancel"\n',
        ),
        (
            "a.py",
            "requests.delete(f\"{RESTATE_ADMIN}/invocations/{d['id']}\")\n",
            "requests.patch(f\"{RESTATE_ADMIN}/invocations/{d['id']}/cancel\")\n",
        ),
        (
            "a.js",
            'await fetch(`${RESTATE}/invocations/${ids["a"] ?? b}`, { method: "DELETE" });\n',
            'await fetch(`${RESTATE}/invocations/${ids["a"] ?? b}/cancel`, { method: "PATCH" });\n',
        ),
    ],
)
def test_a_placeholder_is_one_piece(tmp_path: Path, name: str, before: str, after: str) -> None:
    assert fixed(tmp_path, name, before) == after


# What it did: it ended a URL at the first space, ), ] or }, and went on over |, > and &.
@pytest.mark.parametrize(
    ("code", "url"),
    [
        (r'URL(string: "\(base)/invocations/\(id)?mode=kill")', r"\(base)/invocations/\(id)"),
        ('"http://r:9070/invocations/$(INV_ID)?mode=kill"', "http://r:9070/invocations/$(INV_ID)"),
        ('-Uri "$Url/invocations/$($Id)?mode=kill"', "$Url/invocations/$($Id)"),
        ('"$A/invocations/${1:?need an id}"', "$A/invocations/${1:?need an id}"),
        ('f"{a}/invocations/{sys.argv[1]}?mode=kill"', "{a}/invocations/{sys.argv[1]}"),
        ("url: http://{{ h }}:9070/invocations/{{ i }}", "http://{{ h }}:9070/invocations/{{ i }}"),
        ("$(ADMIN)/invocations/$(ID)?mode=kill", "$(ADMIN)/invocations/$(ID)"),
        ('"#{admin}/invocations/#{id}"', "#{admin}/invocations/#{id}"),
        ("http://r/invocations/<the id>?mode=kill", "http://r/invocations/<the id>"),
        ("http://r/invocations/$id|jq .", "http://r/invocations/$id"),
        ("http://r/invocations/$id>/dev/null", "http://r/invocations/$id"),
        ("http://r/invocations/$id&", "http://r/invocations/$id"),
        ("http://r/invocations/$id; done", "http://r/invocations/$id"),
        # Where it ends is not known, or what the last variable is.
        ("http://r/invocations/$(cat", None),
        ("http://r/invocations/", None),
        ("http://r/invocations/$1$QUERY", None),
        ("http://r/invocations/${1}${2:-?mode=kill}", None),
        ("f'http://r/invocations/{i}{q}'", None),
        ("http://r/jobs/$1", None),
    ],
)
def test_a_url_is_read_to_its_end(code: str, url: str | None) -> None:
    assert url_in(code) == url


# What it did: it wrote \(id/kill, {{/kill, $(ID/cancel, $id|jq/cancel.
@pytest.mark.parametrize(
    ("name", "code", "new"),
    [
        (
            "a.swift",
            (
                'var r = URLRequest(url: URL(string: "http://restate:9070/invocations/\\(id)?mode=kill")!)\n'
                'r.httpMethod = "DELETE"\n'
            ),
            r"PATCH http://restate:9070/invocations/\(id)/kill",
        ),
        (
            "a.yml",
            "uri:\n  url: http://{{ h }}:9070/invocations/{{ id }}?mode=kill\n  method: DELETE\n",
            "PATCH http://{{ h }}:9070/invocations/{{ id }}/kill",
        ),
        (
            "a.yml",
            "args:\n  - curl\n  - -XDELETE\n  - http://restate:9070/invocations/$(INV_ID)?mode=kill\n",
            "curl\n  - -XPATCH\n  - http://restate:9070/invocations/$(INV_ID)/kill",
        ),
        (
            "a.ps1",
            'irm "http://restate:9070/invocations/$($Id)?mode=kill" -Method Delete -Headers $H\n',
            'irm "http://restate:9070/invocations/$($Id)/kill" -Method Patch -Headers $H',
        ),
        (
            "a.sh",
            'curl -X DELETE "http://restate:9070/invocations/${1:?need an id}"\n',
            'curl -X PATCH "http://restate:9070/invocations/${1:?need an id}/MODE"',
        ),
        (
            "a.sh",
            "python3 - <<EOF\nc.delete(f'http://restate:9070/invocations/{sys.argv[1]}?mode=kill')\nEOF\n",
            "c.patch(f'http://restate:9070/invocations/{sys.argv[1]}/kill')",
        ),
        (
            "a.sh",
            "curl -X DELETE http://restate:9070/invocations/$id|jq .\n",
            "curl -X PATCH http://restate:9070/invocations/$id/cancel",
        ),
        (
            "a.sh",
            'api DELETE "/invocations/$1?mode=purge" # restate\n',
            'api PATCH "/invocations/$1/purge"',
        ),
        (
            "a.sh",
            'curl -X DELETE "http://restate:9070/invocations/$i$QUERY"\n',
            (
                "for example (keep your own client, token and options): "
                'curl -X PATCH "$RESTATE_ADMIN_URL/invocations/$INVOCATION_ID/MODE"'
            ),
        ),
        (
            "a.sh",
            'http DELETE "$RESTATE/invocations/$id" mode==kill X-Api-Key:$KEY\n',
            'http PATCH "$RESTATE/invocations/$id/kill" X-Api-Key:$KEY',
        ),
    ],
)
def test_the_new_call_is_written_behind_it(name: str, code: str, new: str) -> None:
    (found,) = find_in_file(name, name, code, code.encode()).findings
    assert found.replacement == new
