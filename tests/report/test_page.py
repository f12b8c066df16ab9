"""The usage page as a document: what it says, and that hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from urllib.parse import parse_qs, urlsplit

import pytest

from shim.ledger.evidence import CallerFacts, Evidence
from shim.ledger.records import PhaseChange
from shim.report.formats.charts import MOST_DAYS, days_of, draw, series_of, sparkline
from shim.report.formats.page import (
    CONTENT_SECURITY_POLICY,
    Filters,
    Recording,
    render_document,
    render_page,
)
from shim.report.model import DayCount
from shim.route.policy import CallerEntry
from tests.support import samples
from tests.support.samples import (
    DAY,
    HOSTILE,
    HOUR,
    NOW,
    hostile_evidence,
    hostile_uses,
    logged_use,
    report_of,
    up,
    use_sum,
)

VOID = {"meta", "link", "wbr", "br", "input", "line", "path", "rect"}


class Document(HTMLParser):
    """Every element and text; fails where elements do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] not in ("style", "script"):
            self.text.append(data)

    def said(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def page_of(evidence: Evidence, **more: object) -> Document:
    return Document(render_page(report_of(evidence), **more))  # type: ignore[arg-type]  # passed on


def hostile_page() -> str:
    report = report_of(hostile_evidence())
    filters = Filters.from_query({"caller": HOSTILE["markup"], "since": HOSTILE["quotes"]})
    return render_page(
        report,
        recent=hostile_uses(),
        filters=filters,
        recording=Recording(ok=False, detail=HOSTILE["markup"]),
        instance=HOSTILE["quotes"],
        version=HOSTILE["markup"],
    )


def test_hostile_text_makes_no_element_and_no_attribute() -> None:
    ordinary = page_of(samples.lively_evidence(), recent=[logged_use(NOW)])
    hostile = Document(hostile_page())
    known = {(tag, name) for tag, attrs in ordinary.elements for name in attrs}
    known |= {("p", "role"), ("p", "class"), ("a", "title"), ("input", "type"), ("span", "title")}
    known |= {("input", "name"), ("input", "value"), ("option", "selected"), ("details", "open")}
    found = {(tag, name) for tag, attrs in hostile.elements for name in attrs}
    assert found <= known
    assert {tag for tag, _ in hostile.elements} - {tag for tag, _ in ordinary.elements} <= {"input"}
    assert "<script>document.title" in hostile.said()
    assert "49" not in re.findall(r"\{\{ 7 \* 7 \}\}|\b49\b", hostile.said())


def test_hostile_text_keeps_the_page_small_and_encodable() -> None:
    page = hostile_page()
    assert len(page.encode()) < 150_000
    assert not re.search(r"[\x00-\x09\x0b-\x1f\u202a-\u202e\u2066-\u2069\u200b]", page)


def test_links_go_nowhere_else() -> None:
    for text in (hostile_page(), render_document(report_of(hostile_evidence()))):
        for _, attrs in Document(text).elements:
            assert not attrs.keys() & {"src", "style", "onclick", "onerror"}
            for name in ("href", "action"):
                url = attrs.get(name)
                assert url is None or re.match(
                    r"\?|#recent$|#caller-[0-9a-f]{12}$|usage\.(json|csv)$|data:,$", url
                ), url


def test_the_policy_names_the_style_and_the_script_that_are_sent() -> None:
    page = hostile_page()
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in CONTENT_SECURITY_POLICY
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'")


def test_without_a_use_the_page_says_since_when_it_records() -> None:
    said = page_of(Evidence(spans=[up(NOW - 5 * HOUR)])).said()
    assert "No use yet" in said
    assert "Recording since 2026-11-23 09:30 UTC" in said
    assert "Not proven" in said
    assert "Nothing shows yet that a shim is recording" in page_of(Evidence()).said()


def test_a_ledger_that_does_not_record_is_never_safe() -> None:
    evidence = Evidence(spans=[up(NOW - 30 * DAY)])
    assert "Safe to remove" in page_of(evidence).said()
    broken = page_of(evidence, recording=Recording(ok=False, detail="the disk is full")).said()
    assert "The ledger is not recording: the disk is full." in broken
    assert "Safe to remove" not in broken


def test_a_file_of_settings_that_is_not_in_force_shows() -> None:
    rejected = "line 2: phase in shim.toml: got '<b>', takes one of observe"
    said = page_of(Evidence(), rejected=rejected).said()
    assert f"The settings’ file as it is now is not in force: {rejected}." in said
    assert "not in force" not in page_of(Evidence()).said()


def test_a_use_that_a_dry_run_served_is_marked() -> None:
    evidence = Evidence(sums=[use_sum("ci-7", NOW)])
    uses = [logged_use(NOW, 1), logged_use(NOW, 2, would_refuse=True)]
    assert page_of(evidence, recent=uses).said().count("dry run: refused") == 1


def test_the_callers_are_shown_with_what_they_must_change() -> None:
    said = page_of(samples.lively_evidence(), recent=[logged_use(NOW, masked=True)]).said()
    # "34 % moved" was said of one that had moved altogether, and the lines held real ids.
    for text in ("billing-reaper", "migrated", "came back", "requests.patch", "100 % moved"):
        assert text in said
    assert 'curl -X PATCH "$RESTATE_ADMIN_URL"/invocations/INVOCATION_ID/purge' in said
    assert "inv_1aiq" not in said


def test_callers_are_grouped_by_what_is_to_be_done_about_them() -> None:
    entries = [CallerEntry(match="ci-7", acknowledged_until=NOW.date(), owner="platform")]
    text = render_page(report_of(samples.lively_evidence(), entries=entries))
    at = [
        text.index(f">{part}") for part in ("Who must change", "Acknowledged <b>1", "Migrated <b>2")
    ]
    assert at == sorted(at)
    active, acknowledged, migrated = text[at[0] : at[1]], text[at[1] : at[2]], text[at[2] :]
    assert active.count("<article") == 5
    assert 'title="ci-7"' in acknowledged
    assert 'title="billing-reaper"' in migrated


def test_an_owner_s_callers_are_found_and_those_without_one_are_marked() -> None:
    entries = [CallerEntry(match="etl", owner="data"), CallerEntry(match="ci-7", owner="platform")]
    report = report_of(samples.lively_evidence(), entries=entries)
    everything = Document(render_page(report)).said()
    assert "no owner 4 " in everything
    assert "data 1 platform 1 " in everything
    for owner, shown, count in (("data", "data", 1), ("", "no owner", 6), ("x", "x", 0)):
        part = report_of(samples.lively_evidence(), entries=entries, owner=owner)
        page = render_page(part, filters=Filters.from_query({"owner": shown}))
        assert page.count("<article") == count
        # Not only the rows, and the way to the others stays.
        uses = sum(caller.uses for caller in part.callers)
        assert (part.totals.uses, part.owners) == (uses, report.owners)


def test_the_facts_above_the_fold_are_there() -> None:
    sunset = NOW + 30 * DAY
    evidence = samples.lively_evidence()
    said = Document(render_page(report_of(evidence, sunset=sunset))).said()
    for text in (
        "Sunset 2026-12-23, in 30 days",
        "Phase brownout",
        "Safe at the earliest 2026-12-25",
    ):
        assert text in said
    assert "6 callers in the last week, at most 8 before" in said


def test_shims_are_listed_with_how_they_do() -> None:
    said = page_of(samples.lively_evidence()).said()
    assert "admin-0 up 2026-10-10 11:30 UTC 20 s ago 99.99 % not counted" in said
    assert "What does not come through a shim is not on record" in said


def test_a_document_stands_alone() -> None:
    document = Document(render_document(report_of(samples.lively_evidence())))
    tags = [tag for tag, _ in document.elements]
    assert not {"script", "a", "form", "noscript"} & set(tags)
    assert "ci-7" in document.said()


@pytest.mark.parametrize(
    ("since", "begin"),
    [
        ("1h", NOW - HOUR),
        ("24h", NOW - DAY),
        ("2026-11-22", datetime(2026, 11, 22, tzinfo=UTC)),
        ("nonsense", None),
        ("", None),
    ],
)
def test_a_filter_begins_some_time_back_or_at_a_date(since: str, begin: datetime | None) -> None:
    assert Filters.from_query({"since": since, "other": "x"}).begin(NOW) == begin


@pytest.mark.parametrize("name", ["a b&c=d", "é", "<x>", "?#", *list(HOSTILE.values())[:2]])
def test_a_filter_link_leads_to_the_same_filter(name: str) -> None:
    link = Filters(mode="kill").link(caller=name)
    query = {key: values[0] for key, values in parse_qs(urlsplit(link).query).items()}
    assert Filters.from_query(query) == Filters(caller=name, mode="kill")


def test_bars_stack_up_to_the_sum_of_the_day_and_stay_inside() -> None:
    report = report_of(samples.lively_evidence())
    series = series_of(report)
    assert len(series) == 7
    chart = draw(report, series, 960, 250)
    for bar in chart.bars:
        assert bar.height > 0
        assert bar.x + bar.width <= 960
        assert 20 <= bar.y <= chart.base
    assert sum(sum(one.by_day.values()) for one in series) == report.totals.uses
    assert [mark.label.text for mark in chart.marks] == ["observe", "translate", "brownout"]
    assert {bar.kind for bar in chart.strip} == {"whole", "partly"}


def test_the_plots_show_at_most_three_months_and_at_least_two_weeks() -> None:
    old = Evidence(sums=[use_sum("a", NOW - 400 * DAY)], spans=[up(NOW - 400 * DAY)])
    assert len(days_of(report_of(old))) == MOST_DAYS
    assert len(days_of(report_of(Evidence()))) == 14


@pytest.mark.parametrize("count", [1, 2, 3, 9, 10, 11, 99, 101, 134, 12_345, 10**12])
def test_the_axis_reaches_over_the_highest_bar(count: int) -> None:
    evidence = Evidence(
        sums=[use_sum("a", NOW, count=count)],
        days=[day.__class__(day=day.day, caller="a", kind=day.kind, count=count)
              for day in samples.days_of("a", NOW)],
    )  # fmt: skip
    report = report_of(evidence)
    (bar,) = draw(report, series_of(report), 960, 250).bars
    assert bar.y >= 26


def test_a_sparkline_of_nothing_is_nothing_and_one_use_is_seen_beside_many() -> None:
    days = [NOW.date() - n * DAY for n in (2, 1, 0)]
    assert sparkline([], days, "uses") == ""
    counts = [DayCount(day=days[0], uses=1000, replacement_calls=0),
              DayCount(day=days[2], uses=1, replacement_calls=0)]  # fmt: skip
    path = sparkline(counts, days, "uses")
    heights = [float(y) for y in re.findall(r"V([\d.]+)H", path)]
    assert heights == [1, 24, 20.98]


def test_phase_changes_that_every_instance_repeats_are_marked_once() -> None:
    changes = [
        PhaseChange(timestamp=NOW - DAY + n * HOUR, instance=instance, phase=phase)
        for n, (instance, phase) in enumerate(
            [("a", "observe"), ("b", "observe"), ("a", "translate"), ("b", "translate"),
             ("a", "translate")]
        )
    ]  # fmt: skip
    kept = report_of(Evidence(phase_changes=changes)).phase_changes
    assert [change.phase for change in kept] == ["observe", "translate"]


def test_every_phase_of_a_day_is_told_where_it_is_marked() -> None:
    # A day's last phase hid the others: a reject that was taken back at once left no trace.
    changes = [
        PhaseChange(timestamp=NOW - HOUR + n * timedelta(minutes=5), instance="a", phase=phase)
        for n, phase in enumerate(["translate", "reject", "translate"])
    ]
    page = render_page(report_of(Evidence(sums=[use_sum("ci-7", NOW)], phase_changes=changes)))
    begun = f"{NOW - HOUR:%H:%M}"
    assert f"<title>{NOW:%Y-%m-%d}: {begun} translate, " in page
    assert " reject, " in page


def test_restarts_of_shims_in_different_phases_are_no_phase_changes() -> None:
    changes = [
        PhaseChange(timestamp=NOW - DAY + n * HOUR, instance=instance, phase=phase)
        for n, (instance, phase) in enumerate([("a", "observe"), ("b", "translate")] * 3)
    ]
    kept = report_of(Evidence(phase_changes=changes)).phase_changes
    assert [change.phase for change in kept] == ["observe", "translate"]


def test_five_hundred_callers_make_a_page_of_bounded_size() -> None:
    names = [f"caller-{n}" for n in range(500)]
    moments = [NOW - n * DAY for n in range(90)]
    evidence = Evidence(
        sums=[use_sum(name, *moments) for name in names],
        days=[day for name in names for day in samples.days_of(name, *moments)],
        callers={
            name: CallerFacts(user_agent="curl/8", replacement="PATCH /invocations/i/kill")
            for name in names
        },
        spans=[up(NOW - 90 * DAY)],
    )
    page = render_page(report_of(evidence))
    assert "300 callers more" in page
    assert len(page) < 1_000_000
