"""A picture of the comparisons on whole data sets, as SVG: a bar a side on a logarithmic scale.

It is made from the JSON alone. Colours and text follow the reader's light or dark scheme; the background is theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from math import ceil, floor, log10

from benchmarks.runner import Comparison, Measured

WIDTH, LABELS, FIGURES = 860, 250, 120  # the bars have what is left between the names and the figures
BAR, GAP, TITLE, AXIS = 16, 6, 44, 26

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328; }
  .title { font-weight: 600; font-size: 15px; }
  .small { font-size: 11px; fill: #59636e; }
  .own { font-weight: 600; }
  .bar { fill: #8c959f; }
  .bar.own { fill: #0969da; }
  .bar.floor { fill: none; stroke: #8c959f; stroke-dasharray: 3 2; }
  .line { stroke: #d1d9e0; stroke-width: 1; }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc; }
    .small { fill: #9198a1; }
    .bar { fill: #656c76; }
    .bar.own { fill: #4493f8; }
    .bar.floor { stroke: #9198a1; }
    .line { stroke: #3d444d; }
  }
"""


def svg(comparisons: Sequence[Comparison], data: Sequence[str]) -> str:
    """The picture of those comparisons that are on one of the data sets, one below the other, all on one scale."""
    shown = [comparison for comparison in comparisons if comparison.on in data]
    low, high = _decades([measured.median for comparison in shown for measured in comparison.sides])
    parts: list[str] = []
    top = 0
    for comparison in shown:
        parts += _panel(comparison, top, low, high)
        top += _height(comparison)
    size = f'viewBox="0 0 {WIDTH} {top}" width="{WIDTH}" height="{top}"'
    return (
        "\n".join(
            [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', f"<style>{STYLE}</style>", *parts, "</svg>"]
        )
        + "\n"
    )


def _panel(comparison: Comparison, top: int, low: int, high: int) -> Iterator[str]:
    sides = sorted(comparison.sides, key=lambda measured: measured.median)
    first = top + TITLE
    last = first + len(sides) * (BAR + GAP)
    title = f"{comparison.work}, {comparison.on}: {comparison.title}"
    yield f'<text class="title" x="0" y="{top + 24}">{escape(title)}</text>'
    for decade in range(low, high + 1):
        x = LABELS + _along(10**decade, low, high)
        yield f'<line class="line" x1="{x:.1f}" y1="{first - 4}" x2="{x:.1f}" y2="{last}"/>'
        yield f'<text class="small" x="{x:.1f}" y="{last + 13}" text-anchor="middle">{10**decade:,g} ms</text>'
    for number, measured in enumerate(sides):
        yield from _bar(measured, first + number * (BAR + GAP), low, high)


def _bar(measured: Measured, top: int, low: int, high: int) -> Iterator[str]:
    kind = "own" if measured.own else "floor" if measured.side.startswith("floor") else "peer"
    width = _along(measured.median, low, high)
    base = top + BAR - 4
    yield f'<text class="{kind}" x="{LABELS - 8}" y="{base}" text-anchor="end">{escape(measured.side)}</text>'
    yield f'<rect class="bar {kind}" x="{LABELS}" y="{top}" width="{width:.1f}" height="{BAR}" rx="2"/>'
    yield f'<text class="{kind}" x="{LABELS + width + 6:.1f}" y="{base}">{measured.median:,.1f} ms</text>'


def _along(value: float, low: int, high: int) -> float:
    return (WIDTH - LABELS - FIGURES) * (log10(value) - low) / (high - low)


def _height(comparison: Comparison) -> int:
    return TITLE + len(comparison.sides) * (BAR + GAP) + AXIS


def _decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten around all values."""
    low = floor(log10(min(values)))
    return low, max(low + 1, ceil(log10(max(values))))
