"""What a caller has to change: told by its ``User-Agent``, and as the request to send instead.

Nothing here may do harm when it is followed or pasted: no id of an invocation is ever shown, and
the mode is the one that the caller mostly asks for, or a placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from shim.route.meaning import Mode

# Stands for the mode where it cannot be told, in the table below too.
_ANY_MODE: Final = "MODE"
_LEAST_HARM_FIRST: Final = (Mode.CANCEL, Mode.PURGE, Mode.KILL)
# Characters of a User-Agent that are looked at.
_LOOKED_AT: Final = 300

_VERSIONED: Final = re.compile(r"PATCH (/v[0-9]{1,9})/invocations/")
_CLI_VERSION: Final = re.compile(r"([0-9]{1,6})\.([0-9]{1,6})(?:\.[0-9]{1,6})?")
_CLI: Final = "restate-cli"
# The CLI makes the old calls up to 1.4.4.
_MIGRATED_CLI: Final = (1, 5)
# Some scripts purge first, and kill what could not be purged.
_ONCE_HIDDEN: Final = (
    " Handle 404 and 409, which the old call hid behind 202: neither is a reason to kill."
)


class Toolkit(NamedTuple):
    """What a caller is built with: the products it is known by, in lower case, and what to tell.

    ``languages`` are those of the source code that it is used from, as the scan names them.
    """

    products: tuple[str, ...]
    advice: str
    languages: tuple[str, ...] = ()


# The first one that has any of a User-Agent's products counts: libraries name what they are built
# on after themselves, and PowerShell says that it is a browser.  reqwest, hyper, HTTParty, Flurl
# and .NET give no name of their own unless they are told to.
TOOLKITS: Final = (
    Toolkit(
        ("openapi-generator", "swagger-codegen"),
        "Generated client: generate it from the OpenAPI document of Restate 1.4 or later, and call "
        "its MODE_invocation (MODEInvocation) in place of delete_invocation or "
        "terminate_invocation.",
    ),
    # sdk-java's admin client knows the old call alone and is deprecated since July 2026 (2.9.0);
    # HttpURLConnection (Java/17) sends no PATCH at all.
    Toolkit(
        (
            *("restate-sdk-java", "java-http-client", "java", "okhttp", "ktor", "ktor-client"),
            *("apache-httpclient", "apache-httpasyncclient", "jersey", "jetty"),
        ),
        'Java, Kotlin: HttpRequest.newBuilder(URI.create(admin + "/invocations/" + id + "/MODE"))'
        '.method("PATCH", BodyPublishers.noBody()) of java.net.http in place of DELETE, '
        "deleteInvocation or terminateInvocation. sdk-java's admin client is deprecated and has "
        "no new call.",
        ("java", "kotlin"),
    ),
    Toolkit(
        ("vert.x-webclient",),
        'Vert.x: client.patchAbs(admin + "/invocations/" + id + "/MODE") in place of '
        "client.deleteAbs.",
        ("java", "kotlin"),
    ),
    Toolkit(
        ("reactornetty",),
        'Spring: webClient.patch().uri(admin + "/invocations/{id}/MODE", id) in place of '
        "webClient.delete().",
        ("java", "kotlin"),
    ),
    Toolkit(
        ("go-resty",),
        'resty: client.R().Patch(admin + "/invocations/" + id + "/MODE") in place of '
        "client.R().Delete.",
        ("go",),
    ),
    Toolkit(
        ("go-http-client",),
        'Go: http.NewRequest(http.MethodPatch, admin+"/invocations/"+id+"/MODE", nil) in place of '
        "http.MethodDelete.",
        ("go",),
    ),
    Toolkit(
        ("fasthttp",),
        'fasthttp: SetMethod(fasthttp.MethodPatch) and the URI admin+"/invocations/"+id+"/MODE" in '
        "place of fasthttp.MethodDelete.",
        ("go",),
    ),
    Toolkit(
        ("reqwest",),
        'reqwest: client.patch(format!("{admin}/invocations/{id}/MODE")) in place of '
        'client.delete(url).query(&[("mode", "MODE")]).',
        ("rust",),
    ),
    Toolkit(
        ("ureq",),
        'ureq: ureq::patch(&format!("{admin}/invocations/{id}/MODE")).send_empty(), before ureq 3 '
        ".call(), in place of ureq::delete.",
        ("rust",),
    ),
    Toolkit(
        ("hyper", "isahc"),
        'Rust: Request::patch(format!("{admin}/invocations/{id}/MODE")) in place of '
        "Request::delete.",
        ("rust",),
    ),
    Toolkit(
        ("python-requests",),
        'requests: requests.patch(f"{admin}/invocations/{id}/MODE") in place of requests.delete.',
        ("python",),
    ),
    Toolkit(
        ("niquests",),
        'niquests: niquests.patch(f"{admin}/invocations/{id}/MODE") in place of niquests.delete.',
        ("python",),
    ),
    Toolkit(
        ("python-httpx",),
        'httpx: httpx.patch(f"{admin}/invocations/{id}/MODE") in place of httpx.delete.',
        ("python",),
    ),
    Toolkit(
        ("aiohttp",),
        'aiohttp: session.patch(f"{admin}/invocations/{id}/MODE") in place of session.delete.',
        ("python",),
    ),
    Toolkit(
        ("python-urllib3", "urllib3"),
        'urllib3: http.request("PATCH", f"{admin}/invocations/{id}/MODE") in place of "DELETE".',
        ("python",),
    ),
    Toolkit(
        ("python-urllib",),
        'urllib: Request(f"{admin}/invocations/{id}/MODE", method="PATCH") in place of '
        'method="DELETE".',
        ("python",),
    ),
    Toolkit(
        ("axios",),
        "axios: axios.patch(`${admin}/invocations/${id}/MODE`) in place of axios.delete.",
        ("javascript", "typescript", "tsx"),
    ),
    Toolkit(
        ("got",),
        "got: got.patch(`${admin}/invocations/${id}/MODE`) in place of got.delete.",
        ("javascript", "typescript", "tsx"),
    ),
    Toolkit(
        ("node-superagent",),
        "superagent: request.patch(`${admin}/invocations/${id}/MODE`) in place of request.delete.",
        ("javascript", "typescript", "tsx"),
    ),
    Toolkit(
        ("node", "undici", "deno", "bun", "node-fetch"),
        'fetch: fetch(`${admin}/invocations/${id}/MODE`, {method: "PATCH"}) in place of '
        'method: "DELETE"; the name of the method in upper case.',
        ("javascript", "typescript", "tsx"),
    ),
    Toolkit(
        ("rest-client",),
        'rest-client: RestClient.patch("#{admin}/invocations/#{id}/MODE", nil) in place of '
        "RestClient.delete.",
        ("ruby",),
    ),
    Toolkit(
        ("faraday",),
        'Faraday: conn.patch("/invocations/#{id}/MODE") in place of conn.delete.',
        ("ruby",),
    ),
    Toolkit(
        ("httparty",),
        'HTTParty: HTTParty.patch("#{admin}/invocations/#{id}/MODE") in place of HTTParty.delete.',
        ("ruby",),
    ),
    Toolkit(
        ("http.rb",),
        'http.rb: HTTP.patch("#{admin}/invocations/#{id}/MODE") in place of HTTP.delete.',
        ("ruby",),
    ),
    Toolkit(
        ("typhoeus",),
        'Typhoeus: Typhoeus.patch("#{admin}/invocations/#{id}/MODE") in place of Typhoeus.delete.',
        ("ruby",),
    ),
    # HTTParty is not told from Net::HTTP by its User-Agent.
    Toolkit(
        ("ruby",),
        'Ruby: Net::HTTP::Patch.new("/invocations/#{id}/MODE") in place of '
        'Net::HTTP::Delete.new; HTTParty.patch("#{admin}/invocations/#{id}/MODE") in place of '
        "HTTParty.delete.",
        ("ruby",),
    ),
    Toolkit(
        ("restsharp",),
        'RestSharp: new RestRequest($"invocations/{id}/MODE", Method.Patch) in place of '
        "Method.Delete.",
        ("csharp",),
    ),
    Toolkit(
        ("flurl", "flurl.http"),
        'Flurl: $"{admin}/invocations/{id}/MODE".PatchAsync() in place of DeleteAsync().',
        ("csharp",),
    ),
    Toolkit(
        (".net", "dotnet"),
        '.NET: client.PatchAsync($"{admin}/invocations/{id}/MODE", null) in place of '
        "client.DeleteAsync.",
        ("csharp",),
    ),
    Toolkit(
        ("guzzlehttp",),
        'Guzzle: $client->patch("$admin/invocations/$id/MODE") in place of $client->delete.',
        ("php",),
    ),
    Toolkit(
        ("symfony",),
        "Symfony HttpClient: $client->request('PATCH', \"$admin/invocations/$id/MODE\") in place "
        "of 'DELETE'.",
        ("php",),
    ),
    Toolkit(
        ("libwww-perl",),
        'Perl: $ua->patch("$admin/invocations/$id/MODE") in place of $ua->delete.',
    ),
    Toolkit(
        ("dart",),
        "Dart: http.patch(Uri.parse('$admin/invocations/$id/MODE')) in place of http.delete.",
    ),
    Toolkit(
        ("windowspowershell", "powershell"),
        'PowerShell: Invoke-RestMethod -Method Patch "$admin/invocations/$id/MODE" in place of '
        "-Method Delete.",
        ("powershell",),
    ),
    Toolkit(
        ("curl",),
        "curl: -X PATCH and the path /invocations/INVOCATION_ID/MODE in place of -X DELETE and "
        "/invocations/INVOCATION_ID?mode=MODE.",
    ),
    Toolkit(
        ("wget",),
        "wget: --method=PATCH and the path /invocations/INVOCATION_ID/MODE in place of "
        "--method=DELETE and /invocations/INVOCATION_ID?mode=MODE.",
    ),
    Toolkit(
        ("httpie",),
        "HTTPie: http PATCH and the path /invocations/INVOCATION_ID/MODE in place of http DELETE "
        "and /invocations/INVOCATION_ID.",
    ),
    Toolkit(
        ("xh",),
        "xh: xh PATCH and the path /invocations/INVOCATION_ID/MODE in place of xh DELETE and "
        "/invocations/INVOCATION_ID.",
    ),
    Toolkit(
        ("postmanruntime", "insomnia", "bruno-runtime", "thunder", "intellij"),
        "A person by hand: send PATCH /invocations/INVOCATION_ID/MODE in place of "
        "DELETE /invocations/INVOCATION_ID, in saved requests too.",
    ),
    # The web UI makes the old calls up to 0.0.94, which servers up to 1.4.4 serve.
    Toolkit(
        ("mozilla",),
        "A browser: if it shows Restate's web UI, upgrade the server to 1.5 or later first, then "
        "reload, for the UI of servers up to 1.4.4 makes the old calls. In a page of your own: "
        'fetch(`${admin}/invocations/${id}/MODE`, {method: "PATCH"}) in place of '
        'method: "DELETE".',
    ),
)


def advice_for(user_agent: str | None, mode: str | None, *, times_masked: int) -> str | None:
    """Return what to tell the owner of a client, or ``None`` where it is not a known one.

    ``mode`` is :func:`main_mode`'s.  ``times_masked`` counts the answers of the new endpoint that
    the client was not told.  The answer is our own text, but for the version of the CLI.
    """
    versions = products_of(user_agent or "")
    if _CLI in versions:
        return _for_cli(versions[_CLI])
    for toolkit in TOOLKITS:
        if not versions.keys().isdisjoint(toolkit.products):
            advice = toolkit.advice.replace(_ANY_MODE, mode or _ANY_MODE)
            return advice + _ONCE_HIDDEN if times_masked else advice
    return None


def main_mode(modes: Mapping[str, int]) -> str | None:
    """Return the mode that most of the uses ask for: on a tie the one that does the least harm.

    ``modes`` counts uses; what is not a mode does not count, and ``None`` is where nothing does.
    """
    used = [mode for mode in _LEAST_HARM_FIRST if modes.get(mode, 0) > 0]
    return max(used, key=lambda mode: modes[mode], default=None)


def replacement_for(seen: str | None, mode: str | None) -> str | None:
    """Return the request line to show to a caller, or ``None`` where none was ``seen``.

    ``seen`` is the replacement of one of its uses, a stranger's text: all that is kept of it is
    the version of the API.  ``mode`` is :func:`main_mode`'s, not that of this one use.
    """
    if seen is None:
        return None
    version = _VERSIONED.match(seen)
    prefix = version[1] if version else ""
    return f"PATCH {prefix}/invocations/INVOCATION_ID/{mode or _ANY_MODE}"


def products_of(user_agent: str) -> dict[str, str]:
    """Return the versions of the products that a ``User-Agent`` names, by their lower-case names.

    Source: RFC 9110 10.1.5, ``name/version`` with spaces between.  Comments are not told apart:
    their first word begins with a parenthesis, and none of a known client's others is a product.
    """
    words = (word.partition("/") for word in user_agent[:_LOOKED_AT].split())
    return {name.lower(): version for name, _, version in words}


def _for_cli(version: str) -> str:
    found = _CLI_VERSION.match(version)
    if found is None:
        return f"{_CLI}: upgrade to 1.5 or later, it makes the new calls"
    name = f"{_CLI} {found[0]}"
    if (int(found[1]), int(found[2])) < _MIGRATED_CLI:
        return f"{name}: upgrade to 1.5 or later, it makes the new calls"
    return f"{name} makes the new calls by itself: look for what calls in its name"
