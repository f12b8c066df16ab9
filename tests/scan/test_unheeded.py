"""What `--fix` leaves alone: calls whose answer something goes by, or that may be other calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.scan.test_fixing import fixed

PURGE = "$RESTATE/invocations/$i?mode=purge"
KILL = "$RESTATE/invocations/$i?mode=kill"


# What it did: it rewrote both, so that the 409 of the new purge made the script kill running work.
@pytest.mark.parametrize(
    ("name", "code"),
    [
        (
            "a.sh",
            f'if ! curl -fsS -X DELETE "{PURGE}"; then curl -fsS -X DELETE "{KILL}"; fi\n',
        ),
        ("a.sh", f'if ! curl -fsS -X DELETE "{PURGE}"; then\n  curl -X DELETE "{KILL}"\nfi\n'),
        ("a.sh", f'curl -X DELETE "{PURGE}" || curl -X DELETE "{KILL}"\n'),
        ("a.sh", f'curl -X DELETE "{PURGE}" ||\n  curl -X DELETE "{KILL}"\n'),
        (
            "a.sh",
            (
                f'c=$(curl -w "%{{http_code}}" -X DELETE "{PURGE}")\n'
                f'if [ "$c" -ge 400 ]; then\n  curl -X DELETE "{KILL}"\nfi\n'
            ),
        ),
        (
            "a.py",
            (
                'r = requests.delete(f"{RESTATE}/invocations/{i}?mode=purge")\n'
                'if not r.ok:\n    requests.delete(f"{RESTATE}/invocations/{i}?mode=kill")\n'
            ),
        ),
        (
            "a.py",
            (
                "def f(i):\n    try:\n"
                '        check(requests.delete(f"{RESTATE}/invocations/{i}?mode=purge"))\n'
                "    except HTTPError:\n"
                '        requests.delete(f"{RESTATE}/invocations/{i}?mode=kill")\n'
            ),
        ),
    ],
)
def test_a_call_that_feeds_another_stays(tmp_path: Path, name: str, code: str) -> None:
    assert fixed(tmp_path, name, code) == code


def curl(line: str) -> tuple[str, str]:
    return "a.sh", f"set -euo pipefail\n{line}\necho next\n"


def python(line: str) -> tuple[str, str]:
    return "a.py", line.replace("CALL", 'requests.delete(f"{RESTATE}/invocations/{i}?mode=kill")')


def script(line: str) -> tuple[str, str]:
    call = 'fetch(`${RESTATE}/invocations/${i}?mode=kill`, { method: "DELETE" })'
    return "a.ts", f"async function f() {{\n  {line.replace('CALL', call)}\n}}\n"


def go(sent: str, before: str = "") -> tuple[str, str]:
    return "a.go", (
        'package a\n\nimport "net/http"\n\nfunc kill(id string) error {\n'
        '\treq, err := http.NewRequest(http.MethodDelete, restate+"/invocations/"+id, nil)\n'
        f"\tif err != nil {{\n\t\treturn err\n\t}}\n{before}{sent}\treturn nil\n}}\n"
    )


# What it did: only the digits 202 nearby kept it from a call whose success is tested.
@pytest.mark.parametrize(
    ("name", "code"),
    [
        curl(f'curl -f -X DELETE "{KILL}"'),
        curl(f'curl -sSf -X DELETE "{KILL}"'),
        curl(f'curl --fail -X DELETE "{KILL}"'),
        curl(f'curl --fail-with-body -X DELETE "{KILL}"'),
        curl(f'curl "$OPTIONS" -X DELETE "{KILL}"'),
        curl(f'curl -K curl.conf -X DELETE "{KILL}"'),
        curl(f'curl -i -X DELETE "{KILL}" | grep -q Accepted'),
        curl(f'curl -i -X DELETE "{KILL}" | grep "20[2]"'),
        curl(f'curl -X DELETE "{KILL}" && echo killed'),
        curl(f'curl -w "%{{http_code}}" -X DELETE "{KILL}"'),
        curl(f'curl -X DELETE "{KILL}" > answer.json'),
        curl(f'curl -o answer.json -X DELETE "{KILL}"'),
        curl(f'out=$(curl -X DELETE "{KILL}")'),
        curl(f'out=$(\n  curl -X DELETE "{KILL}"\n)'),
        curl(f'[ -z "$(curl -X DELETE "{KILL}")" ]'),
        curl(f'while curl -X DELETE "{KILL}"; do sleep 1; done'),
        curl(f'for i in $ids; do curl -X DELETE "{KILL}"; done | wc -c'),
        curl(f'{{ curl -X DELETE "{KILL}"; }} > answers'),
        curl(f'kill_it() {{ curl -X DELETE "{KILL}"; }}'),
        curl(f'run_checked curl -X DELETE "{KILL}"'),
        curl(f'! curl -X DELETE "{KILL}"'),
        curl(f"cat <<EOF | sh\ncurl -X DELETE {KILL}\nEOF"),
        (".gitlab-ci.yml", f'kill:\n  script:\n    - curl --fail -X DELETE "{KILL}"\n'),
        ("a.yml", f'run: |\n  out=$(\n    curl -X DELETE "{KILL}"\n  )\n'),
        ("a.yml", f'shell: curl -X DELETE "{KILL}"\nregister: answer\n'),
        ("Makefile", "kill:\n\tcurl -f -X DELETE $(RESTATE)/invocations/$(ID)?mode=kill\n"),
        ("Makefile", "OUT := $(shell \\\n\tcurl -X DELETE $(RESTATE)/invocations/$(ID))\n"),
        ("Dockerfile", "HEALTHCHECK CMD curl -X DELETE http://restate:9070/invocations/x\n"),
        ("Dockerfile", "RUN curl -X DELETE http://restate:9070/invocations/x && true\n"),
        ("Jenkinsfile", "sh 'curl -X DELETE http://restate:9070/invocations/x'\n"),
        python("r = CALL\nassert r.status_code == 202\n"),
        python('r = CALL\nassert r.reason_phrase == "Accepted"\n'),
        python("r = CALL\nr.raise_for_status()\n"),
        python("CALL.raise_for_status()\n"),
        python("def f(i):\n    return CALL\n"),
        python("f = lambda i: CALL\n"),
        python("done = [CALL for i in ids]\n"),
        python("assert CALL\n"),
        python("import aiohttp\nasync def f(i):\n    async with CALL as r:\n        pass\n"),
        script("const r = await CALL;\n  if (!r.ok) throw new Error();"),
        script("CALL.then((r) => r.ok || fail());"),
        script("return CALL;"),
        script("await Promise.all(ids.map((i) => CALL));"),
        go(
            "\tresp, err := http.DefaultClient.Do(req)\n\tif err != nil {\n\t\treturn err\n\t}\n"
            "\tif resp.StatusCode != http.StatusAccepted {\n\t\treturn errRefused\n\t}\n"
        ),
        go("\tresp, err := http.DefaultClient.Do(req)\n\treturn check(resp, err)\n"),
        go("\tresp, err := c.do(req)\n\tdefer resp.Body.Close()\n"),
        go("\t_, err = retrying.Do(req)\n"),
        go("\t_, err = http.DefaultClient.Do(req)\n", "\treq = req.WithContext(checked)\n"),
    ],
)
def test_a_call_whose_answer_is_heeded_stays(tmp_path: Path, name: str, code: str) -> None:
    assert fixed(tmp_path, name, code) == code


def test_a_request_of_go_whose_answer_is_only_closed_is_rewritten(tmp_path: Path) -> None:
    sent = (
        "\tresp, err := client.Do(req)\n\tif err != nil {\n\t\treturn err\n\t}\n"
        "\tdefer resp.Body.Close()\n"
    )
    client = "\tclient := &http.Client{Timeout: time.Second}\n\treq.Header.Set(k, v)\n"
    name, code = go(sent, client)
    new = code.replace("http.MethodDelete", "http.MethodPatch").replace("+id,", '+id+"/cancel",')
    assert fixed(tmp_path, name, code) == new


@pytest.mark.parametrize(
    "code",
    [
        'for i in $ids; do\n  curl -s -o /dev/null -X DELETE "URL"\ndone\n',
        'cat ids | while read -r i; do\n  curl -X DELETE "URL" >/dev/null 2>&1\ndone\n',
        'if [ -n "$i" ]; then\n  curl -sS -H "$AUTH" -u "$U" -m 5 -X DELETE "URL"\nfi\n',
        'case "$1" in\n  kill) curl -X DELETE "URL" ;;\nesac\n',
        'curl -X DELETE "URL" &\nwait\n',
    ],
)
def test_a_line_whose_answer_nobody_heeds_is_rewritten(tmp_path: Path, code: str) -> None:
    old, new = code.replace("URL", KILL), code.replace("URL", "$RESTATE/invocations/$i/kill")
    assert fixed(tmp_path, "a.sh", old) == new.replace("DELETE", "PATCH")


# What it did: whatever was called delete, or given DELETE, was a call of HTTP to it.
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("a.py", 'admin("DELETE", f"/invocations/{i}?mode=kill")  # Restate\n'),
        (
            "a.py",
            (
                "def f(i):\n"
                '    redis_client.delete(f"/invocations/{i}?mode=kill")\n'
                '    requests.get(f"{RESTATE}/invocations/{i}")\n'
            ),
        ),
        ("a.py", 'self._client.delete(f"{RESTATE}/invocations/{i}?mode=kill")\n'),
        ("a.ts", 'await adminFetch(`${RESTATE}/invocations/${i}`, { method: "DELETE" });\n'),
        # The name of a client, and something else.
        python("from ours import requests\nCALL\n"),
        python("import ours as requests\nCALL\n"),
        python("from ours import *\nCALL\n"),
        python("requests = Checked()\nCALL\n"),
        python("def f(requests, i):\n    CALL\n"),
        python("import requests\nrequests.delete = checked\nCALL\n"),
        script("const fetch = checked;\n  await CALL;"),
        ("a.ts", 'import { fetch } from "./checked";\n' + script("await CALL;")[1]),
        # A method that is another one than it looks.
        (
            "a.py",
            (
                "import requests\n"
                'requests.delete(f"{RESTATE}/invocations/{i}?mode=kill", headers={"X": "DELETE"})\n'
            ),
        ),
        (
            "a.py",
            (
                'C = httpx.Client(base_url="http://restate:9070")\n'
                'C.delete(f"/invocations/{i}?mode=kill", headers={"X-HTTP-Method": "DELETE"})\n'
            ),
        ),
        (
            "a.ts",
            (
                "await fetch(`${RESTATE}/invocations/${i}?mode=kill`, "
                "{ method: 'DELETE', headers: { 'X-Op': 'DELETE' } });\n"
            ),
        ),
        (
            "a.py",
            'requests.delete(f"{RESTATE}/invocations/{i}?mode=kill", hooks={"response": check})\n',
        ),
        # 400 on every server.
        ("a.py", 'requests.delete(f"{RESTATE}/invocations/{i}?mode=KILL")\n'),
        ("a.sh", 'curl -X DELETE "$RESTATE/invocations/$i?mode=KILL"\n'),
        # A mode that may come from elsewhere.
        ("a.py", 'requests.delete(f"{RESTATE}/invocations/{i}", **kw)\n'),
        ("a.ts", "await fetch(`${RESTATE}/invocations/${id}${q}`, { method: 'DELETE' });\n"),
        ("a.ts", "await fetch(`${RESTATE}/invocations/${id}`, { method: 'DELETE', ...o });\n"),
        curl('curl -X DELETE "$RESTATE/invocations/$1$QUERY"'),
        curl('QUERY="?mode=kill"\ncurl -X DELETE "$RESTATE/invocations/$1$QUERY"'),
        curl('curl -X DELETE "$RESTATE/invocations/$1" "$@"'),
        curl('curl -X DELETE "$RESTATE/invocations/$i" "$@"'),
        curl('curl -X DELETE "$RESTATE/invocations/$i" $EXTRA'),
        curl('curl -X DELETE "$RESTATE/invocations/$1"'),
        curl('del() { curl -X DELETE "$RESTATE/invocations/$1"; }; del "inv_1?mode=kill"'),
        curl('curl -X DELETE "$RESTATE/invocations/${1}${2:-?mode=kill}"'),
        curl('curl -X DELETE "$RESTATE/invocations/${1:?need an id}"'),
    ],
)
def test_a_call_that_may_be_another_stays(tmp_path: Path, name: str, code: str) -> None:
    assert fixed(tmp_path, name, code) == code
