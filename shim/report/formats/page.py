"""The usage page: one document, rendered here, with nothing fetched from elsewhere.

Everything shown is a stranger's text: Jinja2 escapes it, :func:`shim.report.text.plain` makes what
is invisible visible, and the content security policy names the one style and the one script.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

from shim.ledger.records import UNCLEAR, Decision, Use
from shim.moments import length, minute, parse_moment, rfc3339
from shim.report.formats.charts import (
    burn_down,
    days_of,
    draw,
    most_a_day,
    series_of,
    sparkline,
)
from shim.report.model import CallerReport, Report, State, Status
from shim.report.text import curl_line, name_of, plain, plural
from shim.report.words import (
    NEAR_MISSES,
    STATES,
    UNSEEN,
    UNSEEN_PLACES,
    ago,
    by_when,
    carried,
    could_be_safe,
    details,
    headline,
)
from shim.route.meaning import Mode

if TYPE_CHECKING:
    from jinja2 import Environment

MOST_CALLERS: Final = 200
MOST_RECENT: Final = 100
MOST_OWNERS: Final = 20
NO_OWNER: Final = "no owner"
_LONGEST_LINK: Final = 500
_SINCE: Final = {
    "1h": timedelta(hours=1),
    "24h": timedelta(days=1),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
}


@dataclass(frozen=True, slots=True)
class Filters:
    """Which of the recent uses to show, and whose callers; empty means any."""

    caller: str = ""
    mode: str = ""
    decision: str = ""
    since: str = ""
    owner: str = ""

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> Filters:
        """Read the page's query parameters; what is not known is ignored."""
        since = query.get("since", "")
        return cls(
            caller=_clean(query.get("caller", "")),
            mode=_clean(query.get("mode", "")),
            decision=_clean(query.get("decision", "")),
            since=since if since in _SINCE or _moment(since) else "",
            owner=_clean(query.get("owner", "")),
        )

    @property
    def chosen(self) -> bool:
        """Whether some of the recent uses are asked for."""
        return any((self.caller, self.mode, self.decision, self.since))

    def begin(self, now: datetime) -> datetime | None:
        """Return the moment that ``since`` means: one of 1h, 24h, 7d, 30d, or an RFC 3339 time."""
        back = _SINCE.get(self.since)
        return now - back if back else _moment(self.since)

    def link(self, part: str = "#recent", **changes: str) -> str:
        """Return the page's address with some filters changed, at one ``part`` of it."""
        changed = replace(self, **changes)
        query = {name: getattr(changed, name) for name in self.__dataclass_fields__}
        text = urlencode({k: v for k, v in query.items() if v}, errors="replace")
        return f"?{text}{part}"


@dataclass(frozen=True, slots=True)
class Recording:
    """Whether the ledger takes records now; ``detail`` says what is wrong."""

    ok: bool = True
    detail: str = ""


def render_page(
    report: Report,
    *,
    recent: Sequence[Use] = (),
    filters: Filters | None = None,
    recording: Recording | None = None,
    rejected: str = "",
    partly: str = "",
    refresh_seconds: int = 30,
    instance: str = "",
    version: str = "",
) -> str:
    """Return ``/usage``.  ``recent`` are the latest uses that ``filters`` ask for.

    ``rejected`` says why the settings' file, as it is now, is not in force; ``partly`` why the
    whole record cannot be read.
    Send it with :data:`CONTENT_SECURITY_POLICY`, ``Cache-Control: no-store`` and
    ``Referrer-Policy: no-referrer``.
    """
    return _render(
        report,
        live=True,
        recent=recent,
        filters=filters or Filters(),
        recording=recording or Recording(),
        rejected=rejected,
        partly=partly,
        refresh_seconds=refresh_seconds,
        instance=instance,
        version=version,
    )


def render_document(report: Report) -> str:
    """Return the page as a file that stands alone: no refreshing, no links to the shim."""
    return _render(
        report,
        live=False,
        recent=(),
        filters=Filters(),
        recording=Recording(),
        rejected="",
        partly="",
        refresh_seconds=0,
        instance="",
        version="",
    )


def _render(
    report: Report, *, recording: Recording, partly: str, filters: Filters, **more: Any
) -> str:
    series = series_of(report)
    days = days_of(report)
    shown = report.callers[:MOST_CALLERS]
    owners = {owner or NO_OWNER: count for owner, count in report.owners.items()}
    verdict = report.verdict
    if (partly or not recording.ok) and verdict.status is not Status.IN_USE:
        verdict = replace(verdict, status=Status.UNPROVEN)
    return (
        _environment()
        .get_template("page.html")
        .render(
            report=report,
            generated_at=rfc3339(report.generated_at),
            verdict=verdict,
            recording=recording,
            partly=partly,
            headline=headline(verdict),
            empty=not any((report.totals.uses, report.callers)),
            quiet=length(verdict.quiet_seconds) if verdict.quiet_seconds is not None else "–",
            window=length(verdict.window),
            could_be_safe=could_be_safe(report),
            burn_down=burn_down(report, days),
            groups=_groups(shown),
            owners=dict(list(owners.items())[:MOST_OWNERS]),
            filters=filters,
            left_out=len(report.callers) - len(shown),
            masked=[caller for caller in shown if caller.times_masked],
            missed=[caller for caller in shown if caller.near_misses],
            series=series,
            charts=[
                ("wide", draw(report, series, 960, 250)),
                ("slim", draw(report, series, 380, 230)),
            ],
            days=days,
            modes=[*(mode.value for mode in Mode), UNCLEAR],
            unclear=UNCLEAR,
            decisions=[decision.value for decision in Decision],
            sinces=list(_SINCE),
            style=_asset("page.css"),
            script=_asset("page.js"),
            policy=_DOCUMENT_POLICY,
            unseen=UNSEEN,
            unseen_places=UNSEEN_PLACES,
            **more,
        )
    )


@cache
def _environment() -> Environment:
    # Takes two megabytes that a shim at whose page nobody looks need not have.
    from jinja2 import Environment, PackageLoader, StrictUndefined  # noqa: PLC0415

    environment = Environment(
        loader=PackageLoader("shim.report.formats"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "plain": plain,
        "name_of": name_of,
        "minute": minute,
        "rfc3339": rfc3339,
        "number": lambda value: f"{value:,}",
        "duration": length,
        "plural": plural,
    }
    environment.globals |= {
        "sparkline": sparkline,
        "curl_line": curl_line,
        "ago": ago,
        "state_name": STATES.__getitem__,
        "near_miss_means": lambda kind: NEAR_MISSES.get(kind, plain(kind)),
        "linkable": lambda caller: len(caller) <= _LONGEST_LINK,
        "most_a_day": most_a_day,
        "details": details,
        "by_when": by_when,
        "carried": carried,
        "anchor": anchor_of,
        "first_of": lambda values, most: dict(list(values.items())[:most]),
    }
    return environment


@cache
def _asset(name: str) -> str:
    return (files("shim.report.formats") / "templates" / name).read_text("utf-8")


def _hash(name: str) -> str:
    # The template puts an asset between its tags without a character more.
    digest = hashlib.sha256(_asset(name).encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        f"style-src {_hash('page.css')}",
        f"script-src {_hash('page.js')}",
        "img-src data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_DOCUMENT_POLICY: Final = f"default-src 'none'; style-src {_hash('page.css')}; img-src data:"


def _clean(text: str) -> str:
    """Replace what no database takes as text: lone surrogates and U+0000."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _moment(text: str) -> datetime | None:
    try:
        return parse_moment(text)
    except ValueError:
        return None


def _groups(callers: Iterable[CallerReport]) -> dict[str, list[CallerReport]]:
    """Sort callers by what is to be done about them."""
    groups: dict[str, list[CallerReport]] = {
        name: [] for name in ("acute", "acknowledged", "quiet", "migrated")
    }
    for caller in callers:
        if caller.is_acute:
            groups["acute"].append(caller)
        elif caller.acknowledged:
            groups["acknowledged"].append(caller)
        elif caller.state is State.MIGRATED:
            groups["migrated"].append(caller)
        else:
            groups["quiet"].append(caller)
    return groups


def anchor_of(caller: str) -> str:
    """Return the name of a caller's place on the page."""
    digest = hashlib.sha256(caller.encode("utf-8", "surrogatepass")).hexdigest()
    return f"caller-{digest[:12]}"
