"""No literal credential of a file is told, in whatever form; names of variables are."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from shim.scan.finding import Confidence
from shim.scan.fixing import rewrites
from shim.scan.formats.markdown import as_markdown
from shim.scan.formats.sarif import as_sarif
from shim.scan.formats.table import write_table
from shim.scan.redacting import redact
from shim.scan.scan import scan, without_known
from tests.test_linear import grows_too_fast

# hunter2 is a part of each credential here.
SECRETS = [
    'curl -H "Authorization: Bearer hunter2"',
    "curl -H 'Authorization: Basic YWxhZGRpbjpodW50ZXIy.hunter2='",
    'curl -H "Authorization: hunter2" -H X-Api-Key:hunter2',
    "curl -H 'X-Restate-Auth: hunter2' -H 'Private-Token: hunter2'",
    "curl -u admin:hunter2 -sSu admin:hunter2 -uadmin:hunter2 --user=admin:hunter2",
    "curl --user 'admin:hunter2 $hunter2' -u hunter2:",
    'curl -u \\\n  "admin:hunter2" \\\n  --proxy-user a:hunter2',
    'curl "https://admin:hunter2@restate:9070" https://hunter2@restate',
    "curl --cert a.pem:hunter2 -E a.pem:hunter2 --pass hunter2 --oauth2-bearer hunter2",
    "curl -b 'session=hunter2' --cookie a=hunter2 -H 'Cookie: a=hunter2; b=hunter2'",
    "curl 'http://restate:9070/invocations/x?token=hunter2&api_key=hunter2'",
    'sh -c "curl -H \\"Authorization: Bearer hunter2\\" -u a:hunter2 http://restate:9070"',
    '["curl", "-u", "admin:hunter2", "-H", "Authorization: Bearer hunter2"]',
    'http DELETE :9070/invocations/x Authorization:"Bearer hunter2" X-Token:hunter2 -a me:hunter2',
    "wget --user=me --password=hunter2 --http-password hunter2",
    'irm $uri -Headers @{ Authorization = "Bearer hunter2"; "X-Token" = "hunter2" }',
    'delete(url, headers={"Authorization": "Bearer hunter2"}, cookies={"a": "hunter2"})',
    'delete(url, auth=("me", "hunter2"), token="hunter2", password=f"hunter2{x}")',
    'fetch(url, { headers: { Authorization: "Bearer " + "hunter2", Cookie: `a=hunter2` } })',
    'axios.delete(url, { auth: { username: "me", password: "hunter2" } })',
    'req.Header.Set("Authorization", "Bearer hunter2"); req.SetBasicAuth("me", "hunter2")',
    'client.delete(url).basic_auth("me", Some("hunter2")).bearer_auth("Bearer hunter2")',
    "curl -H 'X-It: eyJhbGciOiJIUzI1NiJ9.hunter2.sig' -d ghp_hunter2hunter2hunter2hunter2",
    "curl -X DELETE https://admin:hunter2",
    "curl -u admin:'hunter2' -u 'admin':'hunter2' -b a='hunter2'",
    "curl -H Authorization:\\ Bearer\\ hunter2 --header=X-Token:hunter2",
    'fetch(url, { headers: { Authorization: "Basic " + btoa("me:hunter2") } })',
    'delete(url, headers={"Authorization": b"Basic " + base64.b64encode(b"me:hunter2")})',
    "TOKEN=hunter2 npm install --//r/:_authToken=hunter2 @restatedev/restate@1.4",
]
KEPT = [
    'curl -H "Authorization: Bearer $TOKEN" -u "$U:$P" https://$U:$P@restate:9070/invocations/x',
    "curl -H 'Authorization: Bearer ${{ secrets.TOKEN }}' https://${U}:${{ secrets.P }}@restate",
    'curl -H "Authorization: Bearer $(cat token)" -H "Cookie: $COOKIE" -b cookies.txt --cert a.pem',
    "curl -H 'Authorization: Bearer {{ token }}' -H 'X-Token: <token>' -u %USER%:%PASSWORD%",
    'delete(url, headers={"Authorization": f"Bearer {token}"}, auth=(user, password), token=token)',
    "fetch(url, { headers: { Authorization: `Bearer ${token}`, authorization: token } })",
    'fetch(url, { headers: { Authorization: "Bearer " + token }, credentials: "include" })',
    'req.Header.Set("Authorization", "Bearer "+token); req.SetBasicAuth(user, password)',
    "http://localhost:9070/invocations/inv_1abcd?mode=kill",
    'Invoke-RestMethod -Uri "http://restate:9070/invocations/$id" -Method Delete',
]


@pytest.mark.parametrize("code", SECRETS)
def test_a_literal_credential_is_cut_out(code: str) -> None:
    assert "hunter2" not in redact(code)
    assert "REDACTED" in redact(code)
    assert redact(code).count("\n") == code.count("\n")


@pytest.mark.parametrize("code", KEPT)
def test_what_names_one_is_kept(code: str) -> None:
    assert redact(code) == code


@pytest.mark.parametrize("code", SECRETS + KEPT)
def test_cutting_twice_changes_nothing(code: str) -> None:
    assert redact(redact(code)) == redact(code)


@pytest.mark.parametrize(
    "repeated", ["$a", "://$a", 'token="', "Bearer ", "-u a:", 'auth("', "<a", "{", "key_", "a-"]
)
def test_it_takes_linear_time(repeated: str) -> None:
    assert not grows_too_fast(lambda size: redact("://" + repeated * (size // len(repeated))))


CODE = (
    'curl -H "Authorization: Bearer hunter2" -u me:hunter2 -X DELETE '
    '"https://me:hunter2@restate/invocations/$i?mode=kill"\n'
)


# What it did: the code of a finding, with what was in it, stood in every form.
def test_no_form_tells_a_credential(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text(CODE)
    (tmp_path / "a.py").write_text(
        'requests.delete("https://a:hunter2@restate/invocations/x", auth=("a", "hunter2"))\n'
    )
    found = scan([tmp_path], Confidence.POSSIBLE)
    table = io.StringIO()
    write_table(found, table)
    told = (
        table.getvalue()
        + json.dumps(found.as_json())
        + json.dumps(as_sarif(found))
        + as_markdown(found)
    )
    assert len(found.findings) == 2
    assert "hunter2" not in told
    assert told.count("REDACTED") >= 20


def test_a_file_is_rewritten_with_its_credentials(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text(CODE)
    (rewrite,) = rewrites(scan([tmp_path], Confidence.LIKELY))
    assert rewrite.after == CODE.replace("DELETE", "PATCH").replace("?mode=", "/")


def test_a_baseline_of_before_credentials_were_cut_out_counts(tmp_path: Path) -> None:
    (tmp_path / "a.sh").write_text(CODE)
    found = scan([tmp_path], Confidence.LIKELY)
    now = found.as_json()
    assert without_known(found, json.dumps(now)).findings == ()
    now["findings"][0]["code"] = CODE.strip()
    assert without_known(found, json.dumps(now)).findings == ()
