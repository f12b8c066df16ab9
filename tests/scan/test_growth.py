"""A file is read in time linear in its bytes, whatever is in it: a pull request may be hostile.

Files grow eightfold, as in tests/test_linear.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from shim.scan.scan import find_guarded
from tests.scan.work import work_of
from tests.test_linear import GROWTH, grows_too_fast

# So that no reader leaves early.
HEAD = "restate delete invocations mode= 9070\n"
REPEATED = (
    "a",
    " ",
    "(",
    "$A",
    "/invocations/",
    "/invocations/x?mode=kill ",
    "'/invocations/x' + ",
    "a.delete('/invocations/x')\n",
    "x += x + '/invocations/'\n",
    "curl -X DELETE /invocations/$X\n",
    "if curl -X DELETE http://restate:9070/invocations/$X; then\n",
    "- run: curl -X DELETE http://restate:9070/invocations/{{ x }}\n",
    "curl -X DELETE http://restate:9070/invocations/$(",
    "requests.delete('http://restate:9070/invocations/x?mode=kill')\n",
    "fetch('http://restate:9070/invocations/x', { method: 'DELETE' });\n",
    "curl -X DELETE /invocations/$X \\\n",
    "A=$A/invocations/\n",
    "- DELETE\n",
    "restatedev/restate:",
    "@restatedev/restate@1.4",
    "```\n",
    "url: /invocations/x\n",
    "p['mode'] = 'kill'\na.delete('/invocations/x', params=p)\n",
    "p.set('mode', x); a.delete(q + '/invocations/x', p);\n",
    "p = {**p}\na.delete('/invocations/x', **p)\n",
    "class A { mode = 'kill'; f() { a.delete('/invocations/' + this.mode); } }\n",
    '{"a":',
    '"\\',
    "/*",
    '{"method":"DELETE","url":"/invocations/x"},',
)
# What opens, and may never close; and what gives a variable a value.
IN_A_LINE = (
    *('"', "'", "`", "$(", "${", "{{", "#{", "\\(", "<(", "<", "[", "&", "#", ";", "|", " + "),
    *('"$(', "'\"", "`'", '"`', "\\", "$A", "${A:-", "A=(", "A=$A ", "; A+=$A", "if ", "; fi "),
    *("curl -X DELETE /invocations/$A ", "'curl /invocations/x ", '" + .id + "', "--next ", "-d "),
    *("read -r ", "export A=", "?mode=", "&mode=", "awk '"),
)


# One for each way of reading; the other languages are read as these.
@pytest.mark.parametrize(
    "name", ["a.go", "a.js", "a.py", "a.rb", "a.rs", "a.sh", "a.yml", "a.json", "a.md", "a.txt"]
)
def test_a_file_is_read_in_linear_time(name: str) -> None:
    for repeated in REPEATED:

        def read(size: int, repeated: str = repeated) -> None:
            text = HEAD + repeated * (size // len(repeated)) + "\n'"
            find_guarded(name, name, text, text.encode())

        assert not grows_too_fast(read), repeated


@pytest.mark.parametrize("name", ["a.yml", "a.md", "a.py"])
def test_versions_are_looked_for_in_linear_time(name: str) -> None:
    for repeated in (
        "restate-helm ",
        "version: 1.4.2 ",
        "restate-helm\n",
        "`restatedev/restate:1.4 ",
    ):

        def read(size: int, repeated: str = repeated) -> None:
            text = f"restate '{repeated * (size // len(repeated))}"
            find_guarded(name, name, text, text.encode())

        assert not grows_too_fast(read), repeated


@pytest.mark.parametrize("name", ["a.sh", "a.ps1"])
def test_a_command_line_is_read_in_linear_time(name: str) -> None:
    for repeated in IN_A_LINE:

        def read(size: int, repeated: str = repeated) -> None:
            line = "curl -X DELETE $A/invocations/x " + repeated * (size // len(repeated))
            text = f"{HEAD}A=$B\n{line}\n"
            find_guarded(name, name, text, text.encode())

        assert not grows_too_fast(read), repeated


URL = "http://localhost:9070/invocations"
# Many calls in one file, each of them found. What it did: it went through the whole text again for
# each finding (where comments silence it), for each fenced block (where its lines begin), for each
# assignment to a name (which function it is in), and for each mode that is stated near a call.
CALLS = {
    "fences.md": "text\n\n```bash\ncurl -X DELETE {url}/inv_{i}?mode=kill\n```\n",
    "nothing.md": "text\n\n```bash\ncurl -X PATCH {url}/inv_{i}/kill\n```\n",
    "steps.yaml": "- run: curl -X DELETE {url}/inv_{i}?mode=kill\n",
    "data.yaml": "- http:\n    url: {url}/inv_{i}?mode=kill\n    method: DELETE\n",
    "api.yaml": "  /{i}/invocations/{{id}}:\n    delete:\n      operationId: delete_invocation\n",
    "pins.yaml": "image: restatedev/restate:1.4.{i}\n",
    "functions.sh": 'f{i}() {{\n  curl -X DELETE "{url}/$1?mode=kill"\n}}\n',
    "helpers.py": "def f{i}(x):\n    return requests.delete(f'{url}/{{x}}?mode=kill')\n",
    "urls.py": "def f{i}(x):\n    url = f'{url}/{{x}}?mode=kill'\n    requests.delete(url)\n",
    "stated.py": "mode = 'kill'\nrequests.delete(f'{url}/{{x}}', params=p)\n",
    "apart.py": "def f{i}(x):\n    req.set_path('/invocations/' + x)\n    req.delete()\n",
    "generated.py": "def delete_invocation_{i}(x):\n    path = '/invocations/' + x\n",
    "left.py": "URL_{i} = '{url}/x?mode=kill'\n",
    "classes.py": "class A{i}:\n    def f(self, x):\n        self.url = '{url}/'\n"
    "        requests.delete(self.url + x)\n",
    "many.ts": "async function f{i}(x) {{\n  const url = `{url}/${{x}}?mode=kill`;\n"
    "  await fetch(url, {{ method: 'DELETE' }});\n}}\n",
    "many.go": 'func f{i}(x string) {{\n\tu := "{url}/" + x\n'
    '\treq, _ := http.NewRequest("DELETE", u, nil)\n}}\n',
    "many.swift": 'let u{i} = URL(string: "{url}/\\(id)")!\nr.httpMethod = "DELETE"\n',
    "many.vue": "<script>\naxios.delete(`{url}/${{x}}?mode=kill`);\n</script>\n",
    "many.http": "DELETE {url}/{i}?mode=kill\n\n###\n",
    "line.sh": "curl -X DELETE {url}/{i}?mode=kill; ",
    "urls.sh": "curl -X DELETE {url}/{i}?mode=kill \\\n  ",
    "variables.sh": "A{i}={url}/$1\ncurl -X DELETE $A{i}?mode=kill\n",
    "line.swift": 'let u{i} = URL("{url}/x"); r.httpMethod = "DELETE"; ',
}
FEW = 60


def calls_in(name: str, calls: int) -> str:
    if name == "line.json":
        return json.dumps([{"method": "DELETE", "url": f"{URL}/{i}"} for i in range(calls)])
    if name == "line.ipynb":
        code = [f"requests.delete('{URL}/{i}?mode=kill')" for i in range(calls)]
        return json.dumps({"cells": [{"cell_type": "code", "source": one} for one in code]})
    return HEAD + "".join(CALLS[name].format(i=i, url=URL) for i in range(calls))


@pytest.mark.parametrize("name", [*CALLS, "line.json", "line.ipynb"])
def test_work_grows_with_the_number_of_calls_only(tmp_path: Path, name: str) -> None:
    def text(calls: int) -> str:
        return calls_in(name, calls)

    work_of(tmp_path / name, text(1))
    few, many = (work_of(tmp_path / name, text(calls)) for calls in (FEW, GROWTH * FEW))
    assert many < 1.4 * GROWTH * few
