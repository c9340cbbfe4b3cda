"""The pictures of a report, as SVG within the page."""

from collections.abc import Iterator, Sequence
from html import escape

from tasks.evaluation.evaluation import Compared, Evaluation
from tasks.evaluation.measures import BY_NAME, MeasureName
from tasks.evaluation.scores import CaseScore

WIDTH, LEFT, RIGHT = 860, 270, 40
ROW = 34
DOTS_HEIGHT = 260


def differences(evaluation: Evaluation) -> str:
    """Difference and interval of each measure, each row in a scale of its own: right of the line is better."""
    shown = [one for one in (evaluation.comparison.measures if evaluation.comparison else ()) if one.paired]
    if not shown:
        return ""
    height = ROW * len(shown) + 50
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    rows = "".join(_difference(one, 24 + ROW * at, middle) for at, one in enumerate(shown))
    axis = f'<line class="zero" x1="{middle}" y1="8" x2="{middle}" y2="{height - 30}"/>'
    words = (
        f'<text class="small" x="{middle - 12}" y="{height - 10}" text-anchor="end">◀ candidate worse</text>'
        f'<text class="small" x="{middle + 12}" y="{height - 10}">candidate better ▶</text>'
    )
    return _svg(height, "Difference of each measure with its confidence interval", axis + rows + words)


def _difference(one: Compared, y: float, middle: float) -> str:
    found, measure = one.paired, BY_NAME[one.measure]
    if found is None:
        return ""
    # Each row has a scale of its own: points and milliseconds share none.
    reach = max(abs(found.low), abs(found.high), found.least_detectable) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / 2 / reach * (-1 if measure.lower_is_better else 1)
    low, value, high = (middle + scale * part for part in (found.low, found.difference, found.high))
    kind = {"better": "good", "worse": "bad"}.get(one.outcome, "even")
    told = f"{measure.title}: {measure.shown_difference(found.difference)}"
    return (
        f'<text x="{LEFT - 16}" y="{y + 4}" text-anchor="end">{escape(measure.title)}</text>'
        f'<g class="{kind}"><title>{escape(told)}</title>'
        f'<line class="bar" x1="{min(low, high):.1f}" y1="{y}" x2="{max(low, high):.1f}" y2="{y}"/>'
        f'<circle cx="{value:.1f}" cy="{y}" r="6"/></g>'
        f'<text class="small" x="{value:.1f}" y="{y - 10}" text-anchor="middle">'
        f"{escape(measure.shown_difference(found.difference))}</text>"
    )


def cases(evaluation: Evaluation, measure: MeasureName) -> str:
    """Each case's figure, in order of the candidate's: a dot for the candidate, a ring for the baseline."""
    sides = [dict(_values(result.scores, measure)) for result in evaluation.results]
    order = sorted(sides[0], key=lambda case: sides[0][case])
    if len(order) < 2:
        return ""
    most = max([value for side in sides for value in side.values()] + [1e-9])
    step = (WIDTH - 110) / max(1, len(order) - 1)
    marks: list[str] = [_grid(most, measure)]
    for at, case in enumerate(order):
        x = 80 + at * step
        for role, side in reversed([*enumerate(sides)]):
            if case in side:
                y = _height(side[case], most)
                told = f"{case}: {BY_NAME[measure].shown(side[case])}"
                radius = 5 if len(order) <= 60 else 3
                place = f'class="side{role}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"'
                marks.append(f"<circle {place}><title>{escape(told)}</title></circle>")
    return _svg(DOTS_HEIGHT + 30, f"{BY_NAME[measure].title} of each case", "".join(marks))


def _grid(most: float, measure: MeasureName) -> str:
    lines: list[str] = []
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        y, told = _height(most * part, most), escape(BY_NAME[measure].shown(most * part))
        lines.append(f'<line class="grid" x1="70" y1="{y:.1f}" x2="{WIDTH - 20}" y2="{y:.1f}"/>')
        lines.append(f'<text class="small" x="62" y="{y + 4:.1f}" text-anchor="end">{told}</text>')
    foot = f'<text class="small" x="80" y="{DOTS_HEIGHT + 22}">cases, in order of the candidate’s figure</text>'
    return "".join(lines) + foot


def _height(value: float, most: float) -> float:
    return DOTS_HEIGHT - (DOTS_HEIGHT - 20) * value / most


def _values(scores: Sequence[CaseScore], measure: MeasureName) -> Iterator[tuple[str, float]]:
    for one in scores:
        parts = BY_NAME[measure].parts(one)
        if parts is not None and parts[1]:
            yield one.case, parts[0] / parts[1]


def _svg(height: float, title: str, content: str) -> str:
    label = escape(title, quote=True)
    return (
        f'<div class="wide"><svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{label}" '
        f'xmlns="http://www.w3.org/2000/svg">{content}</svg></div>'
    )
