"""A file is read in time linear in its bytes, whatever is in it: a pull request may be hostile.

Files grow eightfold, as in tests/test_linear.py.
"""

from __future__ import annotations

import pytest

from shim.scan.scan import find_guarded
from tests.test_linear import grows_too_fast

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
