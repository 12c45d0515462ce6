"""A bar picture as SVG: one bar per row on a logarithmic scale, since a textbook handler and a pass-through are worlds apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT, TOP, ROW, BAR = 960, 250, 130, 64, 40, 24
FONTS = "ui-sans-serif, system-ui, Helvetica, Arial, sans-serif"
OURS, OTHERS, LINE, TEXT, PAPER = "#2f7d54", "#9db2cc", "#d5dde8", "#33415a", "#f7f9fc"


def bars(title: str, rows: Sequence[tuple[str, float, bool]], unit: str) -> str:
    """Return the picture of `rows` (label, value above 0, whether it is ours), largest first."""
    ordered = sorted(rows, key=lambda row: -row[1])
    scale = _Scale([value for _, value, _ in ordered])
    height = TOP + ROW * len(ordered) + 34
    said = "; ".join(f"{label}: {number(value)} {unit}" for label, value, _ in ordered)
    attributes = f'xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="{FONTS}" role="img"'
    attributes += ' aria-labelledby="title description"'
    parts = [
        f"<svg {attributes}>",
        f'  <title id="title">{escape(title)}</title>',
        f'  <desc id="description">{escape(said)}</desc>',
        f'  <rect width="{WIDTH}" height="{height}" rx="10" fill="{PAPER}"/>',
        _text(24, 36, title, size=16, weight=600),
    ]
    for value in scale.decades:
        across = scale.across(value)
        parts.append(f'  <path d="M{across:.1f} {TOP - 8}V{height - 28}" stroke="{LINE}"/>')
        parts.append(_text(across, height - 12, number(value), size=11, anchor="middle"))
    for place, (label, value, ours) in enumerate(ordered):
        top, end, weight = TOP + ROW * place, scale.across(value), 600 if ours else 400
        parts.append(_text(LEFT - 12, top + BAR * 0.7, label, weight=weight, anchor="end"))
        width = max(2.0, end - LEFT)
        parts.append(f'  <rect x="{LEFT}" y="{top}" width="{width:.1f}" height="{BAR}" rx="3" fill="{OURS if ours else OTHERS}"/>')
        parts.append(_text(end + 8, top + BAR * 0.7, f"{number(value)} {unit}", weight=weight))
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Scale:
    """Powers of ten around some values, over the picture's width."""

    def __init__(self, values: Sequence[float]) -> None:
        self._low = math.floor(math.log10(min(values)))
        self._high = max(self._low + 1, math.ceil(math.log10(max(values))))

    @property
    def decades(self) -> list[float]:
        return [10.0**power for power in range(self._low, self._high + 1)]

    def across(self, value: float) -> float:
        """Return where `value` stands, in units of the picture."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - self._low) / (self._high - self._low)


def _text(across: float, down: float, words: str, *, size: int = 13, weight: int = 400, anchor: str = "start") -> str:
    where = f'x="{across:.1f}" y="{down:.1f}" font-size="{size}" font-weight="{weight}" text-anchor="{anchor}"'
    return f'  <text {where} fill="{TEXT}">{escape(words)}</text>'


HUNDRED, TEN = 100, 10


def number(value: float) -> str:
    """Return a number as people read it: three digits that matter, thousands parted."""
    if abs(value) >= HUNDRED or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= TEN else f"{value:.2f}"
