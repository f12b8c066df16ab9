"""What is to be written instead: the team's own call with PATCH and the mode in its path."""

from __future__ import annotations

import pytest

from shim.scan.documents import find_in_file
from shim.scan.rewriting import EXAMPLE

MODE_OF_JAVA = 'method("PATCH", HttpRequest.BodyPublishers.noBody())'


def new_call(name: str, code: str) -> str:
    (found,) = find_in_file(name, name, code, code.encode()).findings
    return found.replacement


# What it did: a template took the place of the team's client, token, timeout and base URL.
@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "a.py",
            'self._client.delete(f"{RESTATE}/invocations/{i}", params={"mode": "kill"}, timeout=3)',
            'self._client.patch(f"{RESTATE}/invocations/{i}/kill", timeout=3)',
        ),
        (
            "a.py",
            'c.delete(url=f"{RESTATE}/invocations/{i}", params=dict(mode="kill"), headers=H)',
            'c.patch(url=f"{RESTATE}/invocations/{i}/kill", headers=H)',
        ),
        (
            "a.py",
            'requests.delete(f"{RESTATE}/invocations/{i}?mode={mode}", auth=AUTH)',
            'requests.patch(f"{RESTATE}/invocations/{i}/{mode}", auth=AUTH)',
        ),
        (
            "a.py",
            'urllib.request.Request("%s/invocations/%s" % (RESTATE, i), method="DELETE")',
            'urllib.request.Request("%s/invocations/%s/cancel" % (RESTATE, i), method="PATCH")',
        ),
        (
            "a.py",
            'subprocess.run(["curl", "-fsS", "-XDELETE", f"{RESTATE}/invocations/{i}?mode=kill"])',
            'subprocess.run(["curl", "-fsS", "-XPATCH", f"{RESTATE}/invocations/{i}/kill"])',
        ),
        (
            "a.py",
            'admin("DELETE", f"/invocations/{i}?mode=kill", RESTATE)',
            'admin("PATCH", f"/invocations/{i}/kill", RESTATE)',
        ),
        (
            "a.ts",
            "got.delete(`${RESTATE}/invocations/${i}`, { searchParams: { mode: 'kill' }, retry })",
            "got.patch(`${RESTATE}/invocations/${i}/kill`, { retry })",
        ),
        (
            "a.ts",
            "ky.delete(`invocations/${i}?mode=kill`, { prefixUrl: RESTATE })",
            "ky.patch(`invocations/${i}/kill`, { prefixUrl: RESTATE })",
        ),
        (
            "a.js",
            "http.del(`${__ENV.RESTATE}/invocations/${i}?mode=kill`, null, { headers })",
            "http.patch(`${__ENV.RESTATE}/invocations/${i}/kill`, null, { headers })",
        ),
        (
            "a.js",
            "axios.delete(`${RESTATE}/invocations/${i}?mode=kill`, { timeout: 5 })",
            "axios.patch(`${RESTATE}/invocations/${i}/kill`, null, { timeout: 5 })",
        ),
        (
            "a.js",
            "axios({ method: 'delete', url: `${RESTATE}/invocations/${i}`, headers })",
            "axios({ method: 'PATCH', url: `${RESTATE}/invocations/${i}/cancel`, headers })",
        ),
        (
            "a.rb",
            'HTTParty.delete("#{RESTATE}/invocations/#{i}", query: { mode: "kill" }, headers: h)',
            'HTTParty.patch("#{RESTATE}/invocations/#{i}/kill", headers: h)',
        ),
        (
            "a.rb",
            'RestClient.delete("#{RESTATE}/invocations/#{i}?mode=kill", h)',
            'RestClient.patch("#{RESTATE}/invocations/#{i}/kill", nil, h)',
        ),
        (
            "a.rb",
            'conn.run_request(:delete, "#{RESTATE}/invocations/#{i}?mode=kill", nil, h)',
            'conn.run_request(:patch, "#{RESTATE}/invocations/#{i}/kill", nil, h)',
        ),
        (
            "a.java",
            (
                "class A { void f() { new Request.Builder()"
                '.url(RESTATE + "/invocations/" + i + "?mode=kill").delete().tag(t).build(); } }'
            ),
            (
                'new Request.Builder().url(RESTATE + "/invocations/" + i + "/kill")'
                ".patch(RequestBody.create(new byte[0])).tag(t).build()"
            ),
        ),
        (
            "a.java",
            'import retrofit2.*; interface A { @DELETE("invocations/{i}?mode=kill") A f(); }',
            '@PATCH("invocations/{i}/kill")',
        ),
        (
            "a.java",
            (
                'class A { void f() { HttpRequest.newBuilder(URI.create(RESTATE + "/invocations/" '
                '+ i + "?mode=kill")).timeout(T).DELETE().build(); } }'
            ),
            (
                'HttpRequest.newBuilder(URI.create(RESTATE + "/invocations/" '
                f'+ i + "/kill")).timeout(T).{MODE_OF_JAVA}.build()'
            ),
        ),
        (
            "a.kt",
            'fun f() { c.delete("$restate/invocations/$i") { parameter("mode", "kill") } }',
            'c.patch("$restate/invocations/$i/kill")',
        ),
        (
            "a.rs",
            (
                'fn f() { c.delete(format!("{restate}/invocations/{i}")).query(&[("mode", "kill")])'
                ".bearer_auth(t).send(); }"
            ),
            'c.patch(format!("{restate}/invocations/{i}/kill")).bearer_auth(t).send()',
        ),
        (
            "a.go",
            'package a\nvar r = c.do(http.MethodDelete, restate+"/invocations/"+i+"?mode=kill")',
            'c.do(http.MethodPatch, restate+"/invocations/"+i+"/kill")',
        ),
        (
            "a.cs",
            'class A { void F() { c.DeleteAsync($"{restate}/invocations/{id}?mode=kill", t); } }',
            'c.PatchAsync($"{restate}/invocations/{id}/kill", null, t)',
        ),
        (
            "a.php",
            "<?php $c->delete(\"$restate/invocations/$i\", ['query' => ['mode' => 'kill']]);",
            '$c->patch("$restate/invocations/$i/kill")',
        ),
    ],
)
def test_it_is_the_teams_own_call(name: str, old: str, new: str) -> None:
    assert new_call(name, f"{old}\n") == new


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (
            "a.py",
            'u = f"{RESTATE}/invocations/{i}?mode=kill"\nsession.delete(u)',
            'requests.patch(f"{admin}/invocations/{invocation_id}/kill")',
        ),
        (
            "a.py",
            'C.delete(f"{RESTATE}/invocations/{i}?mode=kill", headers={"X-Method": "DELETE"})',
            'requests.patch(f"{admin}/invocations/{invocation_id}/kill")',
        ),
        (
            "a.ts",
            "c.delete(`${RESTATE}/invocations/${i}?mode=kill`, conf)",
            "axios.patch(`${admin}/invocations/${invocationId}/kill`)",
        ),
        (
            "a.java",
            'class A { void f() { rest.delete(restate + "/invocations/{id}?mode=kill", i); } }',
            (
                'HttpRequest.newBuilder(URI.create(admin + "/invocations/" + invocationId '
                '+ "/kill")).method("PATCH", BodyPublishers.noBody())'
            ),
        ),
        (
            "a.sh",
            'curl -G -X DELETE "$RESTATE/invocations/$i" -H "$AUTH" -d mode=kill',
            'curl -X PATCH "$RESTATE/invocations/$i/kill"',
        ),
    ],
)
def test_where_that_is_hard_it_is_said_to_be_an_example(name: str, old: str, new: str) -> None:
    assert new_call(name, f"{old}\n") == EXAMPLE + new
    assert EXAMPLE == "for example (keep your own client, token and options): "
