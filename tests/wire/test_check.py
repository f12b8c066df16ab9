"""`restate-shim check` before scripted upstreams: what it finds, says and exits with."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.origin import Connection, Origin, Received, answer, reply
from tests.support.running import Shim, restate_shim

JSON = b"Content-Type: application/json"
VERSION = {"version": "1.9.0", "min_admin_api_version": 2, "max_admin_api_version": 4}
ROUTE = "/invocations/{invocation_id}"
OLD: dict[str, Any] = {ROUTE: {"delete": {}}}
NEW: dict[str, Any] = {f"{ROUTE}/{mode}": {"patch": {}} for mode in ("cancel", "kill", "purge")}


def check(*arguments: str) -> subprocess.CompletedProcess[str]:
    return restate_shim("check", *arguments)


def serve(origin: Origin, **pages: Any) -> None:
    """Let the origin answer `/version` and `/openapi` with these, and 404 where there is none."""

    def script(connection: Connection, received: Received) -> None:
        page = pages.get(received.target.decode().strip("/"))
        said = answer(404) if page is None else answer(200, json.dumps(page).encode(), JSON)
        reply(said)(connection, received)

    origin.script = script


@pytest.mark.parametrize(
    ("paths", "new", "old", "code"),
    [
        ({**OLD, **NEW}, True, True, 0),
        (NEW, True, False, 0),
        (OLD, False, True, 0),
        ({"/services": {"get": {}}}, False, False, 1),
        # One endpoint of three is not enough.
        (dict(list(NEW.items())[:2]), False, False, 1),
    ],
    ids=["both", "new only", "old only", "neither", "two of three"],
)
def test_it_finds_which_endpoints_there_are(
    paths: dict[str, Any], new: bool, old: bool, code: int, own_origin: Origin
) -> None:
    serve(own_origin, version=VERSION, openapi={"paths": paths})
    done = check("--upstream", own_origin.url, "--format", "json")
    said = json.loads(done.stdout)
    (found,) = said["upstreams"]
    assert (found["new_endpoints"], found["old_route"], found["ok"]) == (new, old, code == 0)
    assert (found["version"], found["admin_api"]) == ("1.9.0", "v2-v4")
    assert said["ok"] is (code == 0)
    assert done.returncode == code
    text = check("--upstream", own_origin.url).stdout
    assert ("has the new endpoints" in text) is new
    assert ("still has the old route" in text) is old
    assert text.endswith("ready to serve\n" if code == 0 else "not ready to serve: see above\n")


def test_an_upstream_that_is_not_there_is_said(own_origin: Origin) -> None:
    own_origin.refuse()
    done = check("--upstream", own_origin.url)
    assert done.returncode == 1
    assert f"{own_origin.url}: not reachable: Connection refused" in done.stdout


def test_a_server_that_is_no_admin_api_is_said(own_origin: Origin) -> None:
    serve(own_origin, openapi={"paths": NEW})
    done = check("--upstream", own_origin.url)
    assert done.returncode == 1
    assert "not as a Restate admin API does: is it the admin port" in done.stdout


def test_one_bad_upstream_of_two_is_not_ready(own_origin: Origin, tmp_path: Path) -> None:
    serve(own_origin, version=VERSION, openapi={"paths": NEW})
    gone = tmp_path / "gone.sock"
    done = check("--upstream", f"{own_origin.url},unix:{gone}", "--format", "json")
    assert [one["ok"] for one in json.loads(done.stdout)["upstreams"]] == [True, False]
    assert done.returncode == 1


def test_it_says_what_the_settings_amount_to(own_origin: Origin, tmp_path: Path) -> None:
    serve(own_origin, version=VERSION, openapi={"paths": NEW})
    config = tmp_path / "shim.toml"
    config.write_text('[[caller]]\nmatch = "ci-*"\nphase = "reject"\n')
    done = check(
        *("--upstream", own_origin.url, "--config", str(config), "--format", "json"),
        *("--phase", "brownout", "--brownout", "2126-12-01T10:00Z/PT30M"),
        *("--brownout-share", "10%", "--sunset", "2127-01-31", "--dry-run"),
        *("--fleet", "postgresql://shim:hunter22@db/fleet", "--ops-token", "hunter-twenty-two"),
    )
    settings = json.loads(done.stdout)["settings"]
    assert settings["phase"] == "brownout (dry run), ci-*: reject"
    assert settings["brownout"].startswith("next 2126-12-01T10:00:00.000Z to 2126-12-01T10:30")
    assert settings["brownout"].endswith(", 0.1 of the invocations")
    assert settings["headers"] == "Deprecation, Link, Sunset 2127-01-31T00:00:00.000Z"
    assert settings["[[caller]] entries"] == "1"
    assert "hunter" not in done.stdout + done.stderr
    # It said "ready to serve", and "fleet: yes", of one that nobody could reach.
    assert done.returncode == 1
    assert "fleet: " in json.loads(done.stdout)["fleet"]["error"]


def test_an_unusable_setting_is_no_finding() -> None:
    done = check("--phase", "loud")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--phase: got 'loud', takes one of observe" in done.stderr


def test_a_running_shim_is_asked_whether_it_lives(
    own_origin: Origin, start: Callable[..., Shim], tmp_path: Path
) -> None:
    shim = start(upstream=own_origin.url)
    assert check("--ops", shim.ops).returncode == 0
    # The image's health check: where the settings say, on all interfaces too, whatever else they
    # say that only serving needs.
    port = shim.ops.rpartition(":")[2]
    found = check("--ops", "--ops-listen", f"0.0.0.0:{port}", "--tls-cert", "/none.pem")
    assert (found.returncode, found.stderr) == (0, "")
    own = tmp_path / "ops.sock"
    start("--ops-listen", f"unix:{own}", upstream=own_origin.url)
    assert check("--ops", "--ops-listen", f"unix:{own}").returncode == 0
    # As --ops-listen is written; it was taken for the scheme of a URL.
    assert check("--ops", shim.ops.removeprefix("http://")).returncode == 0
    shim.stop()
    done = check("--ops", shim.ops)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{shim.ops} is not live: Connection refused" in done.stderr
