"""Bars with their range, as SVG."""

from __future__ import annotations

from html import escape
from statistics import median

ROW, LEFT, WIDTH, RIGHT = 24, 120, 480, 130
OURS, OTHERS = "#c2410c", "#94a3b8"
OUR_TARGETS = {"larder", "l2", "rules", "journal", "few", "many", "tagged"}


def bars(title: str, data: dict[str, list[float]]) -> str:
    """Horizontal bars of the medians, smallest first, with a line from the least to the greatest value."""
    scale = WIDTH / max(max(values) for values in data.values())
    ordered = sorted(data.items(), key=lambda item: median(item[1]))
    rows = [bar(n, name, values, scale) for n, (name, values) in enumerate(ordered)]
    height = ROW * (len(rows) + 2)
    size = f'width="{LEFT + WIDTH + RIGHT}" height="{height}"'
    head = f'<text x="{LEFT}" y="{ROW * 0.7}" font-weight="bold">{escape(title)}</text>'
    style = 'font-family="sans-serif" font-size="13" fill="#334155"'
    ground = '<rect width="100%" height="100%" fill="white"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>{ground}{head}{"".join(rows)}</svg>\n'


def bar(n: int, name: str, values: list[float], scale: float) -> str:
    y, middle = ROW * (n + 1), ROW * (n + 1) + ROW * 0.4
    least, most, typical = min(values) * scale, max(values) * scale, median(values)
    colour = OURS if name in OUR_TARGETS else OTHERS
    return (
        f'<text x="{LEFT - 8}" y="{middle + 5}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LEFT}" y="{y}" width="{typical * scale:.1f}" height="{ROW * 0.8}" fill="{colour}"/>'
        f'<line x1="{LEFT + least:.1f}" x2="{LEFT + most:.1f}" y1="{middle}" y2="{middle}" stroke="#0f172a"/>'
        f'<text x="{LEFT + most + 8:.1f}" y="{middle + 5}">{typical:.1f}</text>'
    )
