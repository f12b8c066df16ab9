"""Settings: where they come from, and what is said about a bad one."""

from __future__ import annotations

from pathlib import Path

import pytest

from shim.route.policy import Phase
from shim.settings.declared import SettingError
from shim.settings.loading import load


def config(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "shim.toml"
    path.write_text(text)
    return path


def test_a_flag_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    path = config(tmp_path, 'phase = "observe"\nreplies = "native"\nlisten = "127.0.0.1:1"\n')
    environ = {"SHIM_REPLIES": "documented", "SHIM_LISTEN": "127.0.0.1:2"}
    settings = load({"listen": "127.0.0.1:3"}, environ, path)
    assert (settings.phase, settings.replies, settings.listen.port) == ("observe", "documented", 3)


def test_the_file_may_be_named_by_the_environment(tmp_path: Path) -> None:
    path = config(tmp_path, 'ops-listen = "127.0.0.1:5"\nno_headers = true\n')
    settings = load({}, {"SHIM_CONFIG": str(path)})
    assert settings.ops_listen.port == 5
    assert settings.no_headers
    assert settings.config == path


def test_an_empty_variable_is_one_that_is_not_set() -> None:
    assert load({}, {"SHIM_SUNSET": "", "SHIM_PHASE": ""}).phase is Phase.TRANSLATE


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("upstream", "restate:9070"),
        ("upstream", "http://"),
        ("upstream", "http://a/path"),
        ("upstream", "ftp://a"),
        ("upstream", "unix:relative"),
        ("upstream", "http://127.0.0.1:0"),
        ("upstream", "http://a b:80"),
        ("ledger", ""),
        ("ledger", "/"),
        ("listen", "9170"),
        ("listen", "a:99999"),
        ("listen", "unix:/" + "x" * 200),
        ("phase", "loud"),
        ("replies", "old"),
        ("caller", "cookie"),
        ("caller", "header:"),
        # What it holds would stand in log, ledger and page.
        ("caller", "header:authorization"),
        ("caller", "user-agent,header:Cookie"),
        ("caller", "header:X-Api-Key"),
        ("caller", "header:x-auth-token"),
        ("trusted_proxies", "10.0.0.1/8"),
        ("sunset", "soon"),
        ("sunset", "0001-01-01T00:00+14:00"),
        ("sunset", "9999-12-31T23:00-14:00"),
        ("sunset", "2026-12-01T10:00"),
        ("shutdown_grace", "30"),
        ("upstream_timeout", "0s"),
        ("upstream_timeout", "-1s"),
        ("max_body", "big"),
        ("docs_url", "javascript:alert(1)"),
        ("fleet", "mysql://a"),
        ("log_format", "xml"),
        ("tls_cert", "/nonexistent"),
        ("metrics_callers", "-1"),
        ("max_connections", "0"),
        ("max_connections_per_address", "many"),
        ("max_upstream_connections", "1.5"),
        ("max_waiting", "-1"),
        ("upstream_host", "a b"),
        ("upstream_host", "http://a"),
        ("upstream_host", ""),
        ("head_timeout", "0s"),
    ],
)
def test_a_bad_value_is_named_with_what_it_got_and_takes(key: str, text: str) -> None:
    with pytest.raises(SettingError, match="takes") as caught:
        load({key: text}, {})
    said = str(caught.value)
    assert said.startswith(f"--{key.replace('_', '-')}: got ")
    assert repr(text) in said or key == "fleet"


@pytest.mark.parametrize(
    ("flags", "environ"),
    [
        ({"fleet": "mysql://u:s3cret@db/x"}, {}),
        ({"upstream": "http://u:s3cret@a:9070"}, {}),
        ({}, {"SHIM_OPS_TOKEN": "s3cret"}),
    ],
)
def test_a_bad_value_is_not_shown_where_it_may_be_a_secret(
    flags: dict[str, str], environ: dict[str, str]
) -> None:
    with pytest.raises(SettingError) as caught:
        load(flags, environ)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("phase = ", "is not TOML"),
        ("phase = 'observe'\nphases = 1\n", "phases is no setting"),
        ("phase = 1\n", "phase in"),
        ("[[caller]]\nowner = 'x'\n", "[[caller]] entry 1: match is missing"),
        (
            "[[caller]]\nmatch = 'a'\nphase = 'x'\n",
            "[[caller]] entry 1: phase: got 'x', takes one of",
        ),
        ("[[caller]]\nmatch = 'a'\n[[caller]]\nmatch = 'b'\nuntil = 'x'\n", "entry 2: until"),
        ("[[caller]]\nmatch = 'a'\ncolour = 'x'\n", "colour is no key"),
    ],
)
def test_a_bad_file_says_what_is_wrong_in_it(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        load({}, {}, config(tmp_path, text))
    assert said in str(caught.value)


def test_what_cannot_be_counted_as_a_moment_is_no_window() -> None:
    # It ended in a traceback: the moment is before the first one that there is.
    with pytest.raises(SettingError, match=r"--brownout: got '0001-01-01T00:00\+14:00/PT30M'"):
        load({"brownout": ["0001-01-01T00:00+14:00/PT30M"]}, {})


def test_sources_and_entries_of_callers_fit_into_one_file(tmp_path: Path) -> None:
    # TOML lets no key be both a string and a list of tables.
    text = 'caller-sources = "user-agent,address"\n[[caller]]\nmatch = "a"\n'
    settings = load({}, {}, config(tmp_path, text))
    assert settings.caller == ("user-agent", "address")
    assert [entry.match for entry in settings.callers] == ["a"]


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingError, match="cannot read /nonexistent"):
        load({}, {}, Path("/nonexistent"))


@pytest.mark.parametrize("pair", [("tls_cert", "tls_key"), ("upstream_cert", "upstream_key")])
def test_half_of_a_pair_is_refused(tmp_path: Path, pair: tuple[str, str]) -> None:
    path = config(tmp_path, "")
    with pytest.raises(SettingError, match="are needed together"):
        load({pair[0]: str(path)}, {})


def test_a_certificate_that_is_none_is_named(tmp_path: Path) -> None:
    path = str(config(tmp_path, "not a certificate"))
    with pytest.raises(SettingError, match=r"--tls-cert, --tls-key: .* no chain and key"):
        load({"tls_cert": path, "tls_key": path}, {})
    with pytest.raises(SettingError, match=r"--upstream-ca: .* is no PEM"):
        load({"upstream": "https://a", "upstream_ca": path}, {})


def test_both_listeners_at_one_address_are_refused() -> None:
    with pytest.raises(SettingError, match="must differ"):
        load({"listen": "127.0.0.1:1", "ops_listen": "127.0.0.1:1"}, {})
