"""chart.svg: CPU per request, by scenario and proxy.

It brings its own ground, and so reads the same on a light page and on a dark one; who prefers dark
gets it dark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from tests.bench.results import Measured, Results

CHARTED: Final = ("get", "post", "delete", "large")

_WIDTH: Final = 880
_MARGIN: Final = 28
_GAP: Final = 36
_ROW: Final = 22
_BAR: Final = 14
_NAME: Final = 64
_VALUE: Final = 44
_HEAD: Final = 78
_TITLE: Final = 30
_FOOT: Final = 34
_ABOUT: Final = (
    "Shorter is better. 32 connections, one core, the same origin and the same minutes for all. "
    "Of these the shim alone records."
)
_STYLE: Final = """
text { font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.ground { fill: #ffffff; stroke: #d1d9e0; }
.title { font-size: 17px; font-weight: 600; }
.small { font-size: 12px; fill: #59636e; }
.group { font-weight: 600; }
.bar { fill: #b7bfc8; }
.ours { fill: #0969da; }
.name { text-anchor: end; }
text.ours { font-weight: 600; fill: #0550ae; }
.axis { stroke: #d1d9e0; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; }
  .ground { fill: #151b23; stroke: #3d444d; }
  .small { fill: #9198a1; }
  .bar { fill: #656c76; }
  .ours { fill: #4493f8; }
  text.ours { fill: #79c0ff; }
  .axis { stroke: #3d444d; }
}
"""


def chart(results: Results) -> str:
    """Return the SVG; panels two by two on one scale."""
    panels = [one for name in CHARTED for one in results.scenarios if one.name == name]
    proxies = [name for name in results.why if any(one.cpu(name) for one in panels)]
    most = max((one.cpu(name) or 0 for one in panels for name in proxies), default=0) or 1
    return "\n".join(_svg(results, panels, proxies, most))


def _svg(
    results: Results, panels: Sequence[Measured], proxies: Sequence[str], most: float
) -> Iterator[str]:
    panel_height = _TITLE + _ROW * len(proxies) + 20
    width, height = _WIDTH, _HEAD + panel_height * ((len(panels) + 1) // 2) + _FOOT
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img" aria-labelledby="title description">'
    )
    yield '<title id="title">CPU per request</title>'
    yield f'<desc id="description">{escape(_description(panels, proxies))}</desc>'
    yield f"<style>{_STYLE}</style>"
    yield f'<rect class="ground" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="6"/>'
    yield f'<text class="title" x="{_MARGIN}" y="36">CPU per request, µs</text>'
    yield f'<text class="small" x="{_MARGIN}" y="57">{_ABOUT}</text>'
    for number, one in enumerate(panels):
        yield from _panel(one, proxies, most, number, _HEAD + panel_height * (number // 2))
    yield f'<text class="small" x="{_MARGIN}" y="{height - 16}">{escape(_foot(results))}</text>'
    yield "</svg>\n"


def _panel(
    one: Measured, proxies: Sequence[str], most: float, number: int, top: int
) -> Iterator[str]:
    width = (_WIDTH - 2 * _MARGIN - _GAP) // 2
    left = _MARGIN + (number % 2) * (width + _GAP)
    start = left + _NAME
    room = width - _NAME - _VALUE
    title = f"{one.title} and recorded" if one.name == "delete" else one.title
    yield f'<text class="group" x="{left}" y="{top + 18}">{escape(title)}</text>'
    for row, name in enumerate(proxies):
        cost = one.cpu(name)
        if cost is None:
            continue
        y = top + _TITLE + _ROW * row
        ours, bold = (" ours", ' class="ours"') if name == "shim" else ("", "")
        length = max(1.0, cost / most * room)
        base = y + _BAR - 2
        yield f'<text class="name{ours}" x="{start - 8}" y="{base}">{escape(name)}</text>'
        yield (
            f'<rect class="bar{ours}" x="{start}" y="{y}" width="{length:.1f}" '
            f'height="{_BAR}" rx="2"/>'
        )
        after = f"{start + length + 6:.1f}"
        yield f'<text{bold} x="{after}" y="{base}">{cost:.0f}</text>'
    bottom = top + _TITLE + _ROW * len(proxies) - 4
    yield f'<line class="axis" x1="{start}" x2="{start}" y1="{top + _TITLE - 4}" y2="{bottom}"/>'


def _description(panels: Sequence[Measured], proxies: Sequence[str]) -> str:
    return " ".join(
        f"{one.title}: "
        + ", ".join(f"{name} {cost:.0f}" for name in proxies if (cost := one.cpu(name)))
        + "."
        for one in panels
    )


def _foot(results: Results) -> str:
    versions = ", ".join(
        f"{name} {version}" for name, version in results.versions.items() if name in results.why
    )
    return f"{results.when[:10]}, {results.machine['processor']}; {versions}"
