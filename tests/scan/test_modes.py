"""In which mode a call is, where that can be told; and what is said where it cannot."""

from __future__ import annotations

import re

import pytest

from shim.scan.finding import Confidence
from tests.scan.test_rules import found_in

KILL_OR_CANCEL = '`${adminUrl}/invocations/${id}?mode=${force ? "kill" : "cancel"}`'


@pytest.mark.parametrize(
    ("language", "code", "said"),
    [
        (
            "python",
            'def f(i, mode="cancel"):\n    http.delete(f"{ADMIN}/invocations/{i}?mode={mode}")\n',
            "mode=cancel unless told otherwise",
        ),
        (
            "typescript",
            f"await fetch({KILL_OR_CANCEL}, {{ method: 'DELETE' }});\n",
            "mode=cancel or kill",
        ),
        (
            "python",
            'http.delete(f"{RESTATE}/invocations/{i}?mode=KILL")\n',
            "mode='KILL', which Restate refuses (400)",
        ),
        (
            "python",
            'http.delete(f"{RESTATE}/invocations/{i}?mode=kill&mode=purge")\n',
            "two modes, which Restate refuses (400)",
        ),
        (
            "python",
            'http.delete(f"{RESTATE}/invocations/{i}?mode")\n',
            "a mode without a value, which Restate refuses (400)",
        ),
    ],
)
def test_it_is_said_what_is_known_of_a_mode_that_cannot_be_told(
    language: str, code: str, said: str
) -> None:
    # What it did: it said "certain cancel", or kill, and wrote that mode's new call.
    (found,) = found_in(code, language)
    assert found.mode is None
    assert said in found.reason
    # What chooses the mode stays, or MODE stands for it.
    assert not re.search(r"/(?:cancel|kill|purge)\b", found.replacement)


@pytest.mark.parametrize(
    ("language", "code", "confidence"),
    [
        # A mode that may be any of Restate's is as good a sign as one of them.
        (
            "javascript",
            f"await fetch({KILL_OR_CANCEL}, {{ method: 'DELETE' }});\n",
            Confidence.CERTAIN,
        ),
        # One that is not known at all is a lesser one, but enough to be shown.
        (
            "python",
            'client.delete(f"/v2/invocations/{i}", params={"mode": mode.value})\n',
            Confidence.LIKELY,
        ),
    ],
)
def test_a_mode_that_cannot_be_told_is_a_sign_of_the_old_call(
    language: str, code: str, confidence: Confidence
) -> None:
    (found,) = found_in(code, language)
    assert (found.mode, found.confidence) == (None, confidence)


@pytest.mark.parametrize(
    ("language", "code", "modes"),
    [
        # What it did: a mode stated anywhere in a function was that of every call in it.
        (
            "python",
            """
url = f"{RESTATE_ADMIN}/invocations/{id}"
requests.delete(url)
params = {"mode": "kill"}
requests.delete(url, params=params)
params = {}
requests.delete(url, params=params)
""",
            ["cancel", "kill", "cancel"],
        ),
        (
            "go",
            """
package restate
func f(id string) {
	u := base + "/invocations/" + id
	a, _ := http.NewRequest(http.MethodDelete, u, nil)
	q := a.URL.Query()
	q.Set("mode", "kill")
	a.URL.RawQuery = q.Encode()
	b, _ := http.NewRequest(http.MethodDelete, u, nil)
}
""",
            ["kill", "cancel"],
        ),
        (
            "go",
            """
package restate
func f(id string) {
	u := base + "/invocations/" + id
	req, _ := http.NewRequest(http.MethodDelete, u, nil)
	q := req.URL.Query()
	q.Set("mode", "kill")
	req.URL.RawQuery = q.Encode()
	req, _ = http.NewRequest(http.MethodDelete, u, nil)
}
""",
            ["kill", "cancel"],
        ),
    ],
)
def test_a_mode_stays_with_its_call(language: str, code: str, modes: list[str]) -> None:
    assert [one.mode for one in found_in(code, language)] == modes
