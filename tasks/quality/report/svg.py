"""Charts as SVG within a page: no script, no style of their own; colours are classes of the page's sheet."""

from collections.abc import Iterator
from html import escape as escaped

from blocks.plain_text import plain
from tasks.quality.report.report import Chart, Unit, number

WIDTH, HEIGHT = 640, 220
LEFT, TOP, BOTTOM = 74, 14, 30
ROW, LABEL = 30, 236
TICKS = 4
MOST_LABELS = 12
NAME_CHARS = 26


def chart_svg(chart: Chart) -> str:
    """A chart; its numbers are in the tooltip of each bar and in its description."""
    return "".join(_ranking(chart) if chart.is_ranking else _columns(chart))


def _columns(chart: Chart) -> Iterator[str]:
    top = nice(max((*chart.values, *chart.before, 0.0)) or 1.0, chart.unit)
    scale = (HEIGHT - TOP - BOTTOM) / top
    yield from _begin(chart, WIDTH, HEIGHT)
    for step in range(TICKS + 1):
        value = top * step / TICKS
        y = HEIGHT - BOTTOM - value * scale
        yield f'<line class="grid" x1="{LEFT}" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield _text(LEFT - 6, y + 4, number(value, chart.unit), "end")
    slot = (WIDTH - LEFT) / max(1, len(chart.values))
    every = -(-len(chart.labels) // MOST_LABELS)
    for place, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        x = LEFT + place * slot
        if chart.before:
            yield _bar("before", x + slot * 0.1, chart.before[place], slot * 0.36, scale, chart, f"{label}, before")
        begin, width = (0.5, 0.4) if chart.before else (0.15, 0.7)
        yield _bar("now", x + slot * begin, value, slot * width, scale, chart, label)
        if place % every == 0:
            yield _text(x + slot / 2, HEIGHT - 10, label, "middle")
    yield "</svg>"


def _bar(kind: str, x: float, value: float, width: float, scale: float, chart: Chart, label: str) -> str:
    height = max(0.0, value) * scale
    told = _escape(f"{label}: {number(value, chart.unit)}")
    y = HEIGHT - BOTTOM - height
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"><title>{told}</title></rect>'  # noqa: E501


def _ranking(chart: Chart) -> Iterator[str]:
    top = max((*chart.values, 0.0)) or 1.0
    height = ROW * len(chart.values)
    room = WIDTH - LABEL - 90
    yield from _begin(chart, WIDTH, height)
    for place, (label, value) in enumerate(zip(chart.labels, chart.values, strict=True)):
        y, width = place * ROW, max(1.0, room * value / top)
        yield _text(LABEL - 8, y + ROW * 0.65, _short(label), "end")
        yield f'<rect class="now" x="{LABEL}" y="{y + 5}" width="{width:.1f}" height="{ROW - 10}"/>'
        yield _text(LABEL + width + 6, y + ROW * 0.65, number(value, chart.unit), "start")
    yield "</svg>"


def _begin(chart: Chart, width: int, height: int) -> Iterator[str]:
    values = "; ".join(
        f"{label}: {number(one, chart.unit)}" for label, one in zip(chart.labels, chart.values, strict=True)
    )
    kind = ' class="ranking"' if chart.is_ranking else ""
    yield f'<svg{kind} viewBox="0 0 {width} {height}" role="img" aria-label="{_escape(f"{chart.title}. {values}")}">'


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{_escape(text)}</text>'


def _escape(text: str) -> str:
    """A text from outside."""
    return escaped(plain(text))


def _short(label: str) -> str:
    return label if len(label) <= NAME_CHARS else f"{label[: NAME_CHARS - 1]}…"


STEPS = (1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10)


def nice(value: float, unit: Unit) -> float:
    """The top of a scale: a round number that is no less, of which a quarter is round, too; whole where it counts."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while 0 < value < power:
        power /= 10
    if unit == "count" and value <= TICKS:
        return float(TICKS)
    tops = (step * power for step in STEPS)
    return next(top for top in tops if top >= value * 0.999999 and (unit != "count" or round(top, 6) % TICKS == 0))
