"""What a caller is told to do: by what it calls itself, and as the request to send instead."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shim.report.advice import TOOLKITS, Toolkit, advice_for, main_mode, replacement_for
from tests.support.samples import HOSTILE

JAVA = 'HttpRequest.newBuilder(URI.create(admin + "/invocations/" + id + "/kill")).method("PATCH", '
FETCH = 'fetch(`${admin}/invocations/${id}/kill`, {method: "PATCH"})'
BY_HAND = "by hand: send PATCH /invocations/INVOCATION_ID/kill in place of DELETE"
UPGRADE_SERVER = "upgrade the server to 1.5 or later first, then reload"
KNOWN = (
    ("OpenAPI-Generator/1.0.0/java", "cancel_invocation (cancelInvocation)", "cancel"),
    ("Swagger-Codegen/1.0.0/go", "kill_invocation (killInvocation)", "kill"),
    ("restate-sdk-java/2.4.0", "deleteInvocation", "kill"),
    ("Java-http-client/17.0.9", JAVA, "kill"),
    ("Java/1.8.0_392", JAVA, "kill"),
    ("okhttp/4.12.0", JAVA, "kill"),
    ("Apache-HttpClient/4.5.14 (Java/17.0.9)", JAVA, "kill"),
    ("Apache-HttpAsyncClient/5.2.1 (Java/21.0.1)", JAVA, "kill"),
    ("Jersey/2.25.1 (Apache HttpClient 4.5.3)", JAVA, "kill"),
    ("Jetty/12.0.5", JAVA, "kill"),
    ("ktor-client", JAVA, "kill"),
    ("Ktor client", JAVA, "kill"),
    (
        "Vert.x-WebClient/4.5.0",
        'client.patchAbs(admin + "/invocations/" + id + "/purge")',
        "purge",
    ),
    ("ReactorNetty/1.1.15", 'webClient.patch().uri(admin + "/invocations/{id}/kill", id)', "kill"),
    (
        "go-resty/2.11.0 (https://github.com/go-resty/resty)",
        'client.R().Patch(admin + "/invocations/" + id + "/kill")',
        "kill",
    ),
    ("Go-http-client/1.1", 'http.MethodPatch, admin+"/invocations/"+id+"/purge"', "purge"),
    ("Go-http-client/2.0", 'http.MethodPatch, admin+"/invocations/"+id+"/kill"', "kill"),
    ("fasthttp", 'fasthttp.MethodPatch) and the URI admin+"/invocations/"+id+"/kill"', "kill"),
    (
        "reqwest/0.12.4",
        """client.patch(format!("{admin}/invocations/{id}/kill")) in place of client.delete(""",
        "kill",
    ),
    ("ureq/3.1.2", 'ureq::patch(&format!("{admin}/invocations/{id}/kill")).send_empty()', "kill"),
    ("hyper/1.4.1", 'Request::patch(format!("{admin}/invocations/{id}/kill"))', "kill"),
    ("curl/7.84.0-DEV isahc/1.7.2", 'Request::patch(format!("{admin}/invocations/', "kill"),
    ("python-requests/2.31.0", 'requests.patch(f"{admin}/invocations/{id}/purge")', "purge"),
    ("niquests/3.5.2", 'niquests.patch(f"{admin}/invocations/{id}/kill")', "kill"),
    ("python-httpx/0.27.0", 'httpx.patch(f"{admin}/invocations/{id}/kill")', "kill"),
    ("Python/3.11 aiohttp/3.9.1", 'session.patch(f"{admin}/invocations/{id}/cancel")', "cancel"),
    ("python-urllib3/2.2.1", 'http.request("PATCH", f"{admin}/invocations/{id}/kill")', "kill"),
    ("Python-urllib/3.11", 'Request(f"{admin}/invocations/{id}/kill", method="PATCH")', "kill"),
    ("axios/1.7.2", "axios.patch(`${admin}/invocations/${id}/kill`)", "kill"),
    (
        "got (https://github.com/sindresorhus/got)",
        "got.patch(`${admin}/invocations/${id}/kill`)",
        "kill",
    ),
    ("node-superagent/8.1.2", "request.patch(`${admin}/invocations/${id}/kill`)", "kill"),
    ("node", FETCH, "kill"),
    ("undici", FETCH, "kill"),
    ("Deno/1.40.0", FETCH, "kill"),
    ("Bun/1.1.0", FETCH, "kill"),
    ("node-fetch/1.0 (+https://github.com/bitinn/node-fetch)", FETCH, "kill"),
    (
        "rest-client/2.1.0 (linux x86_64) ruby/3.2.2p53",
        'RestClient.patch("#{admin}/invocations/#{id}/kill", nil)',
        "kill",
    ),
    ("Faraday v2.9.0", 'conn.patch("/invocations/#{id}/kill")', "kill"),
    ("HTTParty/0.21.0", 'HTTParty.patch("#{admin}/invocations/#{id}/kill")', "kill"),
    ("http.rb/5.2.0", 'HTTP.patch("#{admin}/invocations/#{id}/kill")', "kill"),
    (
        "Typhoeus - https://github.com/typhoeus/typhoeus",
        'Typhoeus.patch("#{admin}/invocations/#{id}/kill")',
        "kill",
    ),
    ("Ruby", 'Net::HTTP::Patch.new("/invocations/#{id}/purge")', "purge"),
    ("RestSharp/111.0.0.0", 'RestRequest($"invocations/{id}/kill", Method.Patch)', "kill"),
    ("Flurl.Http/4.0.2", '$"{admin}/invocations/{id}/kill".PatchAsync()', "kill"),
    ("dotnet/8.0", 'client.PatchAsync($"{admin}/invocations/{id}/kill", null)', "kill"),
    ("GuzzleHttp/7", '$client->patch("$admin/invocations/$id/kill")', "kill"),
    ("GuzzleHttp/6.5.5 curl/7.70.0 PHP/7.4.22", "$client->patch(", "kill"),
    ("Symfony HttpClient (Native)", "request('PATCH', \"$admin/invocations/$id/kill\")", "kill"),
    ("libwww-perl/6.72", '$ua->patch("$admin/invocations/$id/kill")', "kill"),
    ("Dart/3.3 (dart:io)", "http.patch(Uri.parse('$admin/invocations/$id/kill'))", "kill"),
    (
        "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.19041.1237",
        'Invoke-RestMethod -Method Patch "$admin/invocations/$id/kill"',
        "kill",
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Microsoft Windows 10.0.19041; en-US) PowerShell/7.4.1",
        'Invoke-RestMethod -Method Patch "$admin/invocations/$id/purge"',
        "purge",
    ),
    ("curl/8.5.0", "-X PATCH and the path /invocations/INVOCATION_ID/purge in place", "purge"),
    ("Wget/1.21.4", "--method=PATCH and the path /invocations/INVOCATION_ID/kill", "kill"),
    ("HTTPie/3.2.2", "http PATCH and the path /invocations/INVOCATION_ID/kill", "kill"),
    ("xh/0.22.0", "xh PATCH and the path /invocations/INVOCATION_ID/kill", "kill"),
    ("PostmanRuntime/7.36.0", BY_HAND, "kill"),
    ("insomnia/8.6.1", BY_HAND, "kill"),
    ("bruno-runtime/3.0.2", BY_HAND, "kill"),
    ("Thunder Client (https://www.thunderclient.com)", BY_HAND, "kill"),
    ("IntelliJ HTTP Client/IntelliJ IDEA 2024.3.1", BY_HAND, "kill"),
    (
        "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
        UPGRADE_SERVER,
        "kill",
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0",
        FETCH,
        "kill",
    ),
)
MODES = st.sampled_from(["cancel", "kill", "purge", None])
NAMES = sorted({name for toolkit in TOOLKITS for name in toolkit.products} | {"restate-cli"})
FOR_THE_CLI = re.compile(
    r"restate-cli( [0-9]{1,6}(\.[0-9]{1,6}){1,2})?"
    r"(: upgrade to 1\.5 or later, it makes the new calls"
    r"| makes the new calls by itself: look for what calls in its name)"
)
# Words that are names of products, and anything else.
USER_AGENTS = st.lists(
    st.one_of(
        st.text(max_size=40),
        st.builds("{}/{}".format, st.sampled_from(NAMES), st.text(max_size=12)),
        st.from_regex(r"restate-cli/[0-9]{0,9}\.[0-9]{0,9}.?", fullmatch=True),
    )
).map(" ".join)


@pytest.mark.parametrize(("user_agent", "said", "mode"), KNOWN, ids=[known[0] for known in KNOWN])
def test_a_known_client_is_told_the_new_call_in_its_language(
    user_agent: str, said: str, mode: str
) -> None:
    assert said in str(advice_for(user_agent, mode, times_masked=0))


@pytest.mark.parametrize("product", [name for toolkit in TOOLKITS for name in toolkit.products])
def test_no_product_is_hidden_by_another_row(product: str) -> None:
    owner = next(toolkit for toolkit in TOOLKITS if product in toolkit.products)
    assert advice_for(f"{product}/1.0", None, times_masked=0) == owner.advice
    assert [toolkit for toolkit in TOOLKITS if product in toolkit.products] == [owner]


@pytest.mark.parametrize("toolkit", TOOLKITS, ids=[toolkit.products[0] for toolkit in TOOLKITS])
def test_each_row_is_in_the_table_above(toolkit: Toolkit) -> None:
    told = [advice_for(user_agent, None, times_masked=0) for user_agent, _, _ in KNOWN]
    assert toolkit.advice in told


@pytest.mark.parametrize("mode", ["cancel", "kill", "purge", None])
@pytest.mark.parametrize("toolkit", TOOLKITS, ids=[toolkit.products[0] for toolkit in TOOLKITS])
def test_advice_names_the_mode_and_fits_into_what_the_page_shows(
    toolkit: Toolkit, mode: str | None
) -> None:
    told = str(advice_for(toolkit.products[0], mode, times_masked=1))
    assert re.search(rf"[/ ]{mode or 'MODE'}\b|\b{mode or 'MODE'}_invocation", told)
    assert ("MODE" in told) is (mode is None)
    # The page cuts at 400.
    assert len(told) <= 400
    assert told.isascii()
    assert told.isprintable()


@pytest.mark.parametrize(
    ("user_agent", "said"),
    [
        (
            "restate-cli/1.4.0 linux-x86_64",
            "restate-cli 1.4.0: upgrade to 1.5 or later, it makes the new calls",
        ),
        ("restate-cli/1.4.4 macos-aarch64", "restate-cli 1.4.4: upgrade to 1.5 or later, it makes"),
        ("restate-cli/1.0.2", "restate-cli 1.0.2: upgrade to 1.5"),
        ("restate-cli/dev", "restate-cli: upgrade to 1.5"),
        ("restate-cli", "restate-cli: upgrade to 1.5"),
        ("restate-cli/1.5.0 linux-x86_64", "restate-cli 1.5.0 makes the new calls by itself"),
        ("restate-cli/1.10.0", "makes the new calls by itself"),
        ("restate-cli/2.0.0", "makes the new calls by itself"),
    ],
)
def test_the_cli_is_to_be_upgraded_up_to_1_4(user_agent: str, said: str) -> None:
    told = str(advice_for(user_agent, "kill", times_masked=0))
    assert said in told
    # Its errors are its own business.
    assert advice_for(user_agent, "kill", times_masked=9) == told


@pytest.mark.parametrize(
    "user_agent",
    [
        *("our-own-thing/3", "nodejitsu", "curly/1", "evil (curl/8.5.0)", "javascript", "/", " "),
        *("", None, "(Mozilla/5.0)", "x" * 300 + " curl/8.5.0"),
    ],
)
def test_an_unknown_client_is_told_nothing(user_agent: str | None) -> None:
    assert advice_for(user_agent, "kill", times_masked=1) is None


def test_a_masked_client_is_told_about_the_errors_to_come() -> None:
    told = str(advice_for("curl/8.5.0", "purge", times_masked=1))
    assert "Handle 404 and 409" in told
    # A script that was in use purges first, and kills what cannot be purged.
    assert "neither is a reason to kill" in told
    assert "409" not in str(advice_for("curl/8.5.0", "purge", times_masked=0))


@given(user_agent=USER_AGENTS, mode=MODES)
@example(user_agent="restate-cli/" + "9" * 300, mode=None)
@example(user_agent="restate-cli/١.٤", mode=None)
@example(user_agent="curl/\ud800 \x1b[31m", mode="kill")
def test_advice_is_our_own_text_whatever_a_client_calls_itself(
    user_agent: str, mode: str | None
) -> None:
    told = advice_for(user_agent, mode, times_masked=0)
    ours = {toolkit.advice.replace("MODE", mode or "MODE") for toolkit in TOOLKITS}
    assert told is None or told in ours or FOR_THE_CLI.fullmatch(told)


@given(user_agent=USER_AGENTS, more=st.text())
def test_nothing_is_read_behind_the_first_300_characters(user_agent: str, more: str) -> None:
    full = user_agent.ljust(300)[:300]
    assert advice_for(full + more, None, times_masked=0) == advice_for(full, None, times_masked=0)


@pytest.mark.parametrize(
    ("modes", "mode"),
    [
        ({"cancel": 1, "kill": 2, "purge": 1}, "kill"),
        ({"purge": 50, "invalid": 1}, "purge"),
        ({"purge": 1, "invalid": 50}, "purge"),
        ({"kill": 2, "purge": 2}, "purge"),
        ({"kill": 2, "cancel": 2}, "cancel"),
        ({"kill": 2, "purge": 2, "cancel": 2}, "cancel"),
        ({"kill": 3, "purge": 2, "cancel": 2}, "kill"),
        ({"kill": 1, "cancel": 0}, "kill"),
        ({"kill": 0}, None),
        ({"invalid": 9}, None),
        ({"Kill": 9, "kill; reboot": 9}, None),
        ({}, None),
    ],
)
def test_the_main_mode_is_the_most_frequent_and_then_the_least_harmful(
    modes: Mapping[str, int], mode: str | None
) -> None:
    assert main_mode(modes) == mode


@pytest.mark.parametrize(
    ("seen", "mode", "shown"),
    [
        ("PATCH /invocations/inv_1abc/kill", "kill", "PATCH /invocations/INVOCATION_ID/kill"),
        ("PATCH /v3/invocations/inv_1/kill", "kill", "PATCH /v3/invocations/INVOCATION_ID/kill"),
        ("PATCH /v3/invocations/inv_1/kill", None, "PATCH /v3/invocations/INVOCATION_ID/MODE"),
        ("PATCH /v12/invocations/../purge", "purge", "PATCH /v12/invocations/INVOCATION_ID/purge"),
        ("PATCH /vx/invocations/inv_1/kill", "kill", "PATCH /invocations/INVOCATION_ID/kill"),
        ("PATCH /v٣/invocations/inv_1/kill", "kill", "PATCH /invocations/INVOCATION_ID/kill"),
        ("PATCH /a/v3/invocations/inv_1/kill", "kill", "PATCH /invocations/INVOCATION_ID/kill"),
        (f"PATCH /v{'3' * 999}/invocations/i/kill", None, "PATCH /invocations/INVOCATION_ID/MODE"),
        ("PATCH /v3", "kill", "PATCH /invocations/INVOCATION_ID/kill"),
        ("", "cancel", "PATCH /invocations/INVOCATION_ID/cancel"),
        (None, "kill", None),
        (None, None, None),
    ],
)  # fmt: skip
def test_the_replacement_to_show_has_a_placeholder_for_the_id(
    seen: str | None, mode: str | None, shown: str | None
) -> None:
    assert replacement_for(seen, mode) == shown


# The latest use decided: one bad spelling made a cancel with a real id out of fifty purges.
def test_one_odd_call_decides_nothing() -> None:
    odd = "PATCH /invocations/inv_1abc/cancel"
    mostly = main_mode({"purge": 50, "invalid": 1})
    assert replacement_for(odd, mostly) == "PATCH /invocations/INVOCATION_ID/purge"
    only = main_mode({"invalid": 1})
    assert replacement_for(odd, only) == "PATCH /invocations/INVOCATION_ID/MODE"


@given(
    prefix=st.one_of(st.just(""), st.from_regex(r"/v[0-9]{1,9}", fullmatch=True)),
    invocation_id=st.one_of(st.text(), st.sampled_from(sorted(HOSTILE.values()))),
    mode=MODES,
)
def test_no_id_is_ever_shown(prefix: str, invocation_id: str, mode: str | None) -> None:
    shown = replacement_for(f"PATCH {prefix}/invocations/{invocation_id}/kill", mode)
    assert shown == f"PATCH {prefix}/invocations/INVOCATION_ID/{mode or 'MODE'}"


@given(seen=st.one_of(st.text(), st.text().map("PATCH /v".__add__)), mode=MODES)
def test_whatever_was_seen_the_line_shown_is_one_of_few(seen: str, mode: str | None) -> None:
    shown = replacement_for(seen, mode)
    assert re.fullmatch(
        rf"PATCH (/v[0-9]{{1,9}})?/invocations/INVOCATION_ID/{mode or 'MODE'}", str(shown)
    )
