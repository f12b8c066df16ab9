"""results.md: the tables that a reader compares."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tests.bench.load import Latency
from tests.bench.results import Measured, Results, Spread, flatness

_OTHERS = ("haproxy", "envoy")


def markdown(results: Results) -> str:
    return "\n".join(_lines(results))


def _lines(results: Results) -> Iterator[str]:
    yield "# The shim beside other proxies"
    yield ""
    if results.quick:
        yield "**A quick run: it shows that figures come out, not how large they are.**"
        yield ""
    yield from _circumstances(results)
    calls = [one for one in results.scenarios if one.kind == "calls"]
    for one in calls:
        if not one.name.startswith("get-"):
            yield from _calls(one)
    yield from _clients([one for one in calls if one.name.partition("-")[0] == "get"])
    for one in results.scenarios:
        if one.kind == "h2":
            yield from _calls(one)
        elif one.kind == "stream":
            yield from _stream(one, results.stream_mib)
    yield from _memory(results)
    yield from _one_after_another(results)
    if results.shim:
        yield from _section("The shim itself")
        yield from _table(
            ["", "median (least – most)"],
            ([name, _spread(spread, 2)] for name, spread in results.shim.items()),
        )
    yield from _section("How each is set up")
    yield from (f"- **{name}**: {why}" for name, why in results.why.items())
    yield ""


def _circumstances(results: Results) -> Iterator[str]:
    what = results.machine
    versions = ", ".join(f"{name} {version}" for name, version in results.versions.items())
    yield f"- {results.when}; {what['processor']}, {what['cores']} cores, {what['memory']}"
    yield f"  of memory, {what['system']}"
    yield f"- {versions}"
    for name, package in results.missing.items():
        yield f"- **{name} is missing** ({package}): nothing here is compared with it"
    yield f"- Pinned: {results.cores}"
    yield (
        f"- {results.rounds} round{'s' * (results.rounds > 1)} of {results.seconds} s; in each "
        "round every proxy in turn, all of them running, one of them busy. Medians, with the least "
        "and the most of the rounds."
    )
    yield (
        "- CPU is the proxy's own, of all its processes and threads, from when the connections "
        "are there until it rests again, by requests that the origin saw. “Busy” is the share of "
        "its core while it was asked: far from 100 %, and something else was the limit of "
        "requests/s. Latencies are wrk's, with every client asking again at once."
    )
    yield (
        "- The origin is the same for all and answers as Restate does: a length or one chunk, one "
        "segment, no `Connection`."
    )


def _calls(one: Measured) -> Iterator[str]:
    yield from _section(f"{one.title} ({one.clients} clients)")
    header = ["", "CPU, µs a request", *_ratio_names(one)]
    header += ["requests/s", "p50, ms", "p99, ms", "busy"]
    yield from _table(header, (_calls_row(one, proxy) for proxy in one.samples))


def _calls_row(one: Measured, proxy: str) -> list[str]:
    return [
        proxy,
        _spread(one.spread(proxy, "cpu"), 1),
        *_ratios(one, proxy),
        _number(one.spread(proxy, "rate"), 0),
        _number(one.spread(proxy, "p50_ms"), 2),
        _number(one.spread(proxy, "p99_ms"), 2),
        _percent(one.spread(proxy, "busy")),
    ]


def _stream(one: Measured, mib: int) -> Iterator[str]:
    yield from _section(f"{one.title} ({mib} MiB)")
    header = ["", "CPU, ms a GiB", *_ratio_names(one), "MiB/s", "busy"]
    yield from _table(
        header,
        (
            [
                proxy,
                _spread(one.spread(proxy, "cpu"), 0),
                *_ratios(one, proxy),
                _number(one.spread(proxy, "rate"), 0),
                _percent(one.spread(proxy, "busy")),
            ]
            for proxy in one.samples
        ),
    )


def _clients(sweep: Sequence[Measured]) -> Iterator[str]:
    if len(sweep) < 2:
        return
    ordered = sorted(sweep, key=lambda one: one.clients)
    yield from _section("From one client to many: CPU of a small GET, µs")
    yield (
        "Flat is what stays within ± 15 % of its own middle. With a single client a proxy sleeps "
        "and is woken for every read; what that costs is the machine's, and it is judged apart."
    )
    yield ""
    proxies = [proxy for proxy in ordered[0].samples if ordered[0].cpu(proxy) is not None]
    rows = []
    for proxy in proxies:
        costs = [cost for one in ordered if (cost := one.cpu(proxy)) is not None]
        said = (_apart(costs), _apart(costs[ordered[0].clients == 1 :]))
        rows.append([proxy, *(f"{cost:.1f}" for cost in costs), *said])
    clients = [f"{one.clients} client{'s' * (one.clients > 1)}" for one in ordered]
    yield from _table(["", *clients, "apart", "apart, more than 1"], rows)


def _apart(costs: list[float]) -> str:
    apart = flatness(costs)
    return f"± {apart * 100:.0f} %{' (flat)' * (apart <= 0.15)}"


def _memory(results: Results) -> Iterator[str]:
    if not results.memory:
        return
    yield from _section("Resident memory, MiB")
    yield from _table(
        ["", "started", "after everything", "most"],
        (
            [name, f"{one.started:.0f}", f"{one.after:.0f}", f"{one.peak:.0f}"]
            for name, one in results.memory.items()
        ),
    )
    for name, one in results.recorded.items():
        yield ""
        short = "" if one.lines >= one.answered else "**Not every old call is on record.** "
        yield f"{short}Of {one.answered:,} old calls answered by {name}, {one.lines:,} have a line."


def _one_after_another(results: Results) -> Iterator[str]:
    for title, found in (
        (
            "One after another, one client, before the origin of this benchmark",
            results.one_after_another,
        ),
        ("One after another, kills of an unknown id, before a real Restate", results.real),
    ):
        if found:
            yield from _section(title)
            yield from _latencies(found)


def _latencies(found: dict[str, Latency]) -> Iterator[str]:
    rows = []
    for name, one in found.items():
        method = name.partition(" ")[0]
        direct = found.get(f"{method} direct")
        added = f"{one.p50_ms - direct.p50_ms:.3f}" if direct and direct is not one else ""
        rows.append([name, f"{one.p50_ms:.3f}", f"{one.p99_ms:.3f}", added])
    yield from _table(["", "median, ms", "p99, ms", "added to the median"], rows)


def _section(title: str) -> Iterator[str]:
    yield ""
    yield f"## {title}"
    yield ""


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(header) + " |"
    yield "|---" + "|---:" * (len(header) - 1) + "|"
    for row in rows:
        yield "| " + " | ".join(row) + " |"


def _ratio_names(one: Measured) -> list[str]:
    return [f"× {other}" for other in _OTHERS if other in one.samples]


def _ratios(one: Measured, proxy: str) -> list[str]:
    found = [one.ratio(proxy, other) for other in _OTHERS if other in one.samples]
    return [f"{ratio:.2f}" if ratio is not None else "" for ratio in found]


def _spread(spread: Spread | None, digits: int) -> str:
    if spread is None:
        return ""
    median, least, most = (
        f"{value:,.{digits}f}" for value in (spread.median, spread.least, spread.most)
    )
    return median if least == most else f"{median} ({least} – {most})"


def _number(spread: Spread | None, digits: int) -> str:
    return f"{spread.median:,.{digits}f}" if spread else ""


def _percent(spread: Spread | None) -> str:
    return f"{spread.median * 100:.0f} %" if spread else ""
