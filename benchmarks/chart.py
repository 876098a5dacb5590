"""Draws docs/benchmark.svg: bar charts that are readable on light and dark pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.sax.saxutils import escape

import attrs

_WIDTH, _LEFT, _BAR, _ROW, _HEAD = 870, 240, 520, 24, 46
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f }
  .title { font-weight: 600 }
  .value { font-variant-numeric: tabular-nums }
  .other { fill: #9aa4b0 }
  .provider { fill: #1a7f5a }
  .failed { fill: #c4432b }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 }
    .other { fill: #6e7a87 }
    .provider { fill: #3fb98a }
    .failed { fill: #e0624a }
  }
"""


@attrs.frozen
class Bar:
    """One row of a panel."""

    name: str
    value: float
    text: str
    failed: float = 0.0
    """The part of the value that is drawn as failed, at the end of the bar."""


@attrs.frozen
class Panel:
    """A bar chart with its own scale."""

    title: str
    bars: Sequence[Bar]


def of_ratios(title: str, ratios: Mapping[str, float]) -> Panel:
    """Draw one bar per ratio."""
    return Panel(title, [Bar(name, ratio, f"{ratio:.2f}") for name, ratio in ratios.items()])


def of_results(title: str, results: Mapping[str, tuple[float, float]]) -> Panel:
    """Draw one bar per pair of created and failed numbers."""
    return Panel(
        title,
        [
            Bar(name, created + failed, f"{created:.0f} of {created + failed:.0f}", failed)
            for name, (created, failed) in results.items()
        ],
    )


def svg(panels: Sequence[Panel], description: str, highlighted: str) -> str:
    """Draw the panels below each other. The bars of the highlighted name have their own color."""
    parts, top = [f"<title>{escape(description)}</title>", f"<style>{_STYLE}</style>"], 0
    for panel in panels:
        longest = max(bar.value for bar in panel.bars) or 1.0
        parts.append(f'<text class="title" x="8" y="{top + 30}">{escape(panel.title)}</text>')
        top += _HEAD
        for bar in panel.bars:
            length, failed = _BAR * bar.value / longest, _BAR * bar.failed / longest
            kind = "provider" if bar.name == highlighted else "other"
            parts.append(f'<text x="{_LEFT - 8}" y="{top + 13}" text-anchor="end">{escape(bar.name)}</text>')
            parts.append(_rectangle(kind, _LEFT, top, length - failed))
            if failed:
                parts.append(_rectangle("failed", _LEFT + length - failed, top, failed))
            parts.append(f'<text class="value" x="{_LEFT + length + 6:.1f}" y="{top + 13}">{escape(bar.text)}</text>')
            top += _ROW
    size = f'viewBox="0 0 {_WIDTH} {top + 16}" width="{_WIDTH}"'
    return "\n".join([f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">', *parts, "</svg>"]) + "\n"


def _rectangle(kind: str, x: float, y: float, width: float) -> str:
    return f'<rect class="{kind}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="17" rx="2"/>'
