"""Evidence made by hand for the tests of the report, and callers that mean no good."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shim.ledger import events
from shim.ledger.evidence import REACHED, CallerFacts, DaySum, Evidence, Kind, Span, Sum
from shim.ledger.records import PhaseChange, Use
from shim.moments import rfc3339
from shim.report.asked import Asked
from shim.report.build import build_report
from shim.report.model import Report

NOW = datetime(2026, 11, 23, 14, 30, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)

HOSTILE = {
    "markup": "<script>document.title='owned'</script><img src=x onerror=alert(1)>",
    "quotes": "\"' onmouseover=alert(1) x='",
    "formula": "=cmd|' /C calc'!A0",
    "plus": "+1+1",
    "wide formula": "＝1+1",
    "tab formula": "\t=1+1",
    "escape": "\x1b[31mred\x1b[0m\x1b]0;title\x07",
    "newlines": "a\r\nb\n\n| c | d |\n# heading",
    "nul": "a\x00b",
    "right to left": "\u202egpj.exe\u2066\u200b",
    "separators": "a\u2028b\u2029c",
    "long": "x" * 65536,
    "long and wide": "界" * 21845,
    "markdown": "[click](javascript:alert(1)) `code` **b** @everyone #1 http://evil.example <b>",
    "rich": "[red]x[/red] [link=http://evil.example]y[/link] :smile:",
    "template": "{{ 7 * 7 }} {% raw %} ${jndi:x}",
    "surrogate": "a\ud800b",
    "empty": "",
}


def report_of(
    evidence: Evidence, *, shown: Evidence | None = None, lost: int = 0, **asked: Any
) -> Report:
    """The report at ``NOW``."""
    return build_report(evidence, Asked(now=NOW, **asked), shown=shown, lost=lost)


def use_sum(caller: str, *moments: datetime, **changes: Any) -> Sum:
    """Return the sum of translated cancels of ``caller`` at ``moments``."""
    values: dict[str, Any] = {
        "caller": caller,
        "caller_source": "header:x-client-id",
        "kind": Kind.USE,
        "mode": "cancel",
        "decision": "translated",
        "upstream_status": 202,
        "masked": False,
        "count": len(moments),
        "first": min(moments),
        "last": max(moments),
    }
    return Sum(**(values | changes))


def days_of(caller: str, *moments: datetime, kind: Kind = Kind.USE) -> list[DaySum]:
    """Return a day's sum of cancels for each of the moments."""
    return [DaySum(day=m.date(), caller=caller, kind=kind, count=1, mode="cancel") for m in moments]


def used(caller: str, *days_ago: float, **changes: Any) -> Evidence:
    """Return what uses of ``caller`` so many days ago leave, one a day; kinds other than uses too.

    ``times`` is how many there were each time.
    """
    times = changes.pop("times", 1)
    moments = [NOW - days * DAY for days in days_ago]
    kind = changes.get("kind", Kind.USE)
    mode = changes.get("mode", "cancel")
    days = [DaySum(day=m.date(), caller=caller, kind=kind, count=times, mode=mode) for m in moments]
    return Evidence(
        sums=[use_sum(caller, *moments, **({"count": times * len(moments)} | changes))], days=days
    )


def moved(caller: str, *days_ago: float, **changes: Any) -> Evidence:
    """Return what calls to a new endpoint leave, which reached it unless ``changes`` say not."""
    call = {"kind": Kind.REPLACEMENT_CALL, "decision": REACHED, "upstream_status": 200}
    found = used(caller, *days_ago, **(call | changes))
    return found if found.sums[0].decision == REACHED else replace(found, days=[])


def recorded(*spans: Span, **more: Any) -> Evidence:
    """Return what shims leave that were up."""
    return Evidence(spans=list(spans), **more)


def up(start: datetime, end: datetime = NOW, instance: str = "shim-a") -> Span:
    """Return a span."""
    return Span(instance=instance, start=start, end=end)


def use_line(moment: datetime, number: int = 0, **changes: Any) -> dict[str, Any]:
    """Return a use as it is logged."""
    values = {
        "event": events.USE,
        "level": "info",
        "timestamp": rfc3339(moment),
        "id": str(uuid.UUID(int=number + (7 << 76))),
        "caller": "ci-7",
        "caller_source": "header:x-client-id",
        "user_agent": "restate-cli/1.4.0 linux-x86_64",
        "client_address": "10.0.0.7",
        "request_id": None,
        "trace_id": None,
        "target": "/invocations/inv_1?mode=kill",
        "api_version": None,
        "invocation_id": "inv_1",
        "mode": "kill",
        "mode_given": "kill",
        "phase": "translate",
        "decision": "translated",
        "replacement": "PATCH /invocations/inv_1/kill",
        "upstream_status": 200,
        "status": 202,
        "masked": False,
        "duration_ms": 1.5,
        "error": None,
        "instance": "shim-a",
        "version": "0.1.0",
    }
    return values | changes


def logged_use(moment: datetime, number: int = 0, **changes: Any) -> Use:
    """Return the use in such a line."""
    values = use_line(moment, number, **changes) | {"timestamp": moment}
    return Use(**{name: values[name] for name in Use.__struct_fields__ if name in values})


def life_line(
    event: str, moment: datetime, instance: str = "shim-a", **more: Any
) -> dict[str, Any]:
    """Return a ``listening``, ``heartbeat`` or ``stopped`` line."""
    line = {"event": event, "level": "info", "timestamp": rfc3339(moment), "instance": instance}
    return line | more


def beats(start: datetime, end: datetime, instance: str = "shim-a") -> list[dict[str, Any]]:
    """Return a shim's life from ``start`` to ``end``, with a heartbeat a minute."""
    minutes = int((end - start) / timedelta(minutes=1))
    lines = [life_line("listening", start, instance, phase="translate")]
    lines += [
        life_line("heartbeat", start + n * timedelta(minutes=1), instance)
        for n in range(1, minutes + 1)
    ]
    return lines


def as_lines(values: Iterable[Any]) -> bytes:
    """Return JSON lines."""
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def hostile_evidence() -> Evidence:
    """Return evidence in which every text that a stranger chooses is hostile."""
    names = list(HOSTILE.values())
    return Evidence(
        sums=[
            *(
                use_sum(
                    name,
                    NOW - HOUR,
                    NOW - n * DAY,
                    masked=n % 2 == 0,
                    upstream_status=404,
                    caller_source="user-agent",
                )
                for n, name in enumerate(names)
            ),
            *(use_sum(name, NOW, kind=Kind.NEAR_MISS, mode=name, decision=None) for name in names),
        ],
        days=[day for name in names for day in days_of(name, NOW - DAY, NOW)],
        callers={
            name: CallerFacts(user_agent=name, replacement=f"PATCH /invocations/{name}/kill")
            for name in names
        },
        spans=[up(NOW - 30 * DAY)],
        phase_changes=[PhaseChange(timestamp=NOW - DAY, instance=n, phase=n) for n in names],
    )


def hostile_uses() -> list[Use]:
    """Return recent uses in which every text is hostile."""
    return [
        logged_use(
            NOW - HOUR,
            n,
            caller=name,
            user_agent=name,
            invocation_id=name,
            mode=name,
            decision=name,
            target=name,
        )
        for n, name in enumerate(HOSTILE.values())
    ]


def lively_evidence(days: int = 45) -> Evidence:
    """Return what a migration under way looks like: some done, some not, one that came back."""
    plans: Sequence[tuple[str, str, str, list[int]]] = (
        (
            "ci-7",
            "restate-cli/1.4.0 linux-x86_64",
            "kill",
            [max(0, 60 - d) + (d * 7) % 11 for d in range(days)],
        ),
        (
            "billing-reaper",
            "python-requests/2.31.0",
            "cancel",
            [25 + (d * 5) % 9 if d < 30 else 0 for d in range(days)],
        ),
        (
            "orders-admin",
            "Java-http-client/17.0.9",
            "purge",
            [14 + (d * 3) % 6 if d % 7 < 5 else 0 for d in range(days)],
        ),
        (
            "nightly-cleanup",
            "curl/8.5.0",
            "purge",
            [30 if d % 7 == 6 and (d < 14 or d > 35) else 0 for d in range(days)],
        ),
        (
            "spiffe://prod/ns/pay/sa/worker",
            "Go-http-client/2.0",
            "cancel",
            [9 if d < 20 or d > 40 else 0 for d in range(days)],
        ),
        ("10.42.7.19", "reqwest/0.12.4", "kill", [3 if d < 12 else 0 for d in range(days)]),
        ("support-desk", "node", "kill", [1 if d % 5 == 2 else 0 for d in range(days)]),
        ("etl", "axios/1.7.2", "cancel", [2 if d % 3 == 2 else 0 for d in range(days)]),
    )
    sums, day_sums, facts = [], [], {}
    for caller, agent, mode, counts in plans:
        used = [n for n, count in enumerate(counts) if count]
        first = NOW - (days - 1 - used[0]) * DAY - HOUR
        last = NOW - (days - 1 - used[-1]) * DAY - HOUR
        total = sum(counts)
        for count, status, masked in (
            (total - total // 6, 200, False),
            (total // 8, 404, True),
            (total // 6 - total // 8, 409, True),
        ):
            sums.append(
                use_sum(
                    caller,
                    first,
                    last,
                    mode=mode,
                    count=count,
                    upstream_status=status,
                    masked=masked,
                )
            )
        for n in used:
            day = (NOW - (days - 1 - n) * DAY).date()
            day_sums.append(
                DaySum(day=day, caller=caller, kind=Kind.USE, count=counts[n], mode=mode)
            )
        facts[caller] = CallerFacts(
            user_agent=agent,
            replacement=f"PATCH /invocations/inv_1aiqX0vFEFNH1Umgre58JiCLgHfTtztYK5/{mode}",
        )
    for caller, start, count in (
        ("billing-reaper", 26, 24),
        ("ci-7", 20, 9),
        ("10.42.7.19", 12, 3),
    ):
        moments = [NOW - (days - 1 - n) * DAY for n in range(start, days)]
        calls: dict[str, Any] = {
            "kind": Kind.REPLACEMENT_CALL,
            "decision": REACHED,
            "upstream_status": 200,
        }
        calls["mode"] = next(mode for name, _, mode, _ in plans if name == caller)
        sums.append(use_sum(caller, *moments, **calls, count=len(moments) * count))
        day_sums += [
            DaySum(
                day=m.date(),
                caller=caller,
                kind=Kind.REPLACEMENT_CALL,
                count=count,
                mode=calls["mode"],
            )
            for m in moments
        ]
    near = {"kind": Kind.NEAR_MISS, "decision": None, "upstream_status": None}
    sums.append(use_sum("orders-admin", NOW - 3 * DAY, **near, mode="wrong_method", count=4))
    sums.append(use_sum("support-desk", NOW - 9 * DAY, **near, mode="bad_mode", count=2))
    begun = NOW - (days - 1) * DAY - 3 * HOUR
    spans = [
        up(begun, NOW - 17 * DAY, "admin-0"),
        up(NOW - 17 * DAY + 9 * HOUR, NOW - timedelta(seconds=20), "admin-0"),
        up(begun + 5 * timedelta(minutes=1), NOW, "admin-1"),
    ]
    changes = [
        PhaseChange(timestamp=begun, instance="admin-0", phase="observe"),
        PhaseChange(timestamp=begun + 10 * DAY, instance="admin-0", phase="translate"),
        PhaseChange(timestamp=begun + 31 * DAY, instance="admin-0", phase="brownout"),
    ]
    return Evidence(sums=sums, days=day_sums, callers=facts, spans=spans, phase_changes=changes)
