"""Stacked bars as SVG, with a legend."""

from collections.abc import Mapping
from html import escape

WIDTH, LEFT, BAR, GAP, LINE = 860, 190, 30, 16, 20
MARGIN, TOP = 20, 50
# Light enough for black figures on them.
COLOURS = (
    *("#BBBBBB", "#88CCEE", "#F5C26B", "#7FD0B0", "#E3A6CB", "#B9E2FF", "#F0946C"),
    *("#F3EC78", "#B49AE0", "#D3B27A", "#B2DF8A", "#FB9A99", "#C9C9E8", "#DDDDAA"),
)
NARROWEST = 26  # pixels of a part that holds its number


def stacked_bars(title: str, unit: str, bars: Mapping[str, Mapping[str, float]]) -> str:
    """An SVG document: a bar for each name, made of its parts, with a legend below."""
    legend = list(dict.fromkeys(part for parts in bars.values() for part in parts))
    colours = dict(zip(legend, COLOURS, strict=False))
    scale = (WIDTH - LEFT - 4 * MARGIN) / max(sum(parts.values()) for parts in bars.values())
    drawn = [f'<text x="{MARGIN}" y="30" font-size="16" font-weight="bold">{escape(title)}</text>']
    y = TOP
    for name, parts in bars.items():
        x, middle = float(LEFT), y + BAR / 2 + 4
        drawn.append(_text(LEFT - 10, middle, name, anchor="end"))
        for part, value in parts.items():
            width = value * scale
            drawn.append(
                f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{BAR}"'
                f' fill="{colours[part]}"><title>{escape(part)}: {value:.0f} {unit}</title></rect>'
            )
            if width >= NARROWEST:
                drawn.append(_text(x + width / 2, middle, f"{value:.0f}", anchor="middle"))
            x += width
        drawn.append(_text(x + 8, middle, f"{sum(parts.values()):.0f} {unit}"))
        y += BAR + GAP
    half = -(-len(legend) // 2)
    for n, part in enumerate(legend):
        x, line = MARGIN + (n // half) * (WIDTH / 2), y + 14 + (n % half) * LINE
        drawn.append(
            f'<rect x="{x:.0f}" y="{line - 10}" width="12" height="12" fill="{colours[part]}"/>'
        )
        drawn.append(_text(x + 20, line, part))
    height = y + 14 + half * LINE
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}"'
        f' width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n'
        + "\n".join(drawn)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
