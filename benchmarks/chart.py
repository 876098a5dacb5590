"""docs/benchmark.svg, written by hand: bars of costs, and who got a number. Readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import attrs

_WIDTH, _LEFT, _BAR, _ROW, _HEAD = 870, 240, 520, 24, 46
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .value { font-variant-numeric: tabular-nums }
  .bar { fill: #9aa4b0 }
  .ours { fill: #1a7f5a }
  .lost { fill: #c4432b }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .bar { fill: #6e7a87 }
    .ours { fill: #3fb98a }
    .lost { fill: #e0624a }
  }
"""


@attrs.frozen
class Bar:
    """One row: a name, a length, and what stands behind it."""

    name: str
    value: float
    text: str
    ours: bool = False
    lost: float = 0.0
    """The part of the value that is shown as lost, at its end."""


@attrs.frozen
class Panel:
    """Bars on a scale of their own."""

    title: str
    bars: Sequence[Bar]


def svg(panels: Sequence[Panel], description: str) -> str:
    """The drawing."""
    height = sum(_HEAD + _ROW * len(panel.bars) for panel in panels) + 16
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">',
        f"<title>{escape(description)}</title>",
        f"<style>{_STYLE}</style>",
    ]
    top = 0
    for panel in panels:
        parts += _panel(panel, top)
        top += _HEAD + _ROW * len(panel.bars)
    return "\n".join([*parts, "</svg>"]) + "\n"


def _panel(panel: Panel, top: int) -> list[str]:
    longest = max(bar.value for bar in panel.bars) or 1.0
    lines = [f'<text class="title" x="8" y="{top + 30}">{escape(panel.title)}</text>']
    for number, bar in enumerate(panel.bars):
        y = top + _HEAD + number * _ROW
        length = _BAR * bar.value / longest
        lost = _BAR * bar.lost / longest
        kind = "ours" if bar.ours else "bar"
        lines.append(f'<text x="{_LEFT - 8}" y="{y + 13}" text-anchor="end">{escape(bar.name)}</text>')
        lines.append(f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{length - lost:.1f}" height="17" rx="2"/>')
        if lost:
            x = _LEFT + length - lost
            lines.append(f'<rect class="lost" x="{x:.1f}" y="{y}" width="{lost:.1f}" height="17" rx="2"/>')
        lines.append(f'<text class="value" x="{_LEFT + length + 6:.1f}" y="{y + 13}">{escape(bar.text)}</text>')
    return lines


def of_ratios(title: str, ratios: Mapping[str, float], ours: str) -> Panel:
    """Ratios to one of them."""
    return Panel(title, [Bar(name, ratio, f"{ratio:.2f}", name == ours) for name, ratio in ratios.items()])


def of_bulk(title: str, created: Mapping[str, tuple[float, float]], ours: str) -> Panel:
    """Created and failed of each."""
    return Panel(
        title,
        [
            Bar(name, made + failed, f"{made:.0f} of {made + failed:.0f}", name == ours, failed)
            for name, (made, failed) in created.items()
        ],
    )
