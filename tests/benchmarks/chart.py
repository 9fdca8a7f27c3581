"""The growth curve as SVG."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

WIDTH: Final = 720
HEIGHT: Final = 400
MARGIN: Final = 60
COLOURS: Final = {"granted": "#1f6feb", "issued": "#d1242f"}

Points = Sequence[Mapping[str, Any]]


def chart(curve: Mapping[str, Points]) -> str:
    """Microseconds per line over people, a line for each kind; both axes begin at 0."""
    points = [point for of_kind in curve.values() for point in of_kind]
    people_max = max((point["people"] for point in points), default=1)
    cost_max = max((point["us_per_line"] for point in points), default=1) * 1.1

    def place(point: Mapping[str, Any]) -> tuple[float, float]:
        x = MARGIN + (WIDTH - 2 * MARGIN) * point["people"] / people_max
        y = HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * point["us_per_line"] / cost_max
        return round(x, 1), round(y, 1)

    parts = [_axes(people_max, cost_max)]
    for number, (kind, of_kind) in enumerate(curve.items()):
        places = [place(point) for point in of_kind]
        path = " ".join(f"{x},{y}" for x, y in places)
        parts.append(f'<polyline fill="none" stroke="{COLOURS[kind]}" stroke-width="2" points="{path}"/>')
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{COLOURS[kind]}"/>' for x, y in places]
        parts.append(f'<text x="{MARGIN + 10}" y="{MARGIN + 16 * number}" fill="{COLOURS[kind]}">{kind}</text>')
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12">\n<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


def _axes(people_max: int, cost_max: float) -> str:
    left, bottom = MARGIN, HEIGHT - MARGIN
    return "\n".join(
        (
            f'<path d="M{left} {MARGIN} V{bottom} H{WIDTH - MARGIN}" fill="none" stroke="#57606a"/>',
            f'<text x="{left - 8}" y="{bottom}" text-anchor="end">0</text>',
            f'<text x="{left - 8}" y="{MARGIN}" text-anchor="end">{cost_max:.2f}</text>',
            f'<text x="{left}" y="{MARGIN - 16}">µs per line</text>',
            f'<text x="{WIDTH - MARGIN}" y="{bottom + 20}" text-anchor="end">{people_max:,} people</text>',
        )
    )
