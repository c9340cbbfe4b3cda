"""A picture of a resource: its history, what may come, and the limit."""

import io
from typing import Any

from blocks.plain_text import cut, plain
from tasks.ops.capacity.forecast import Forecast
from tasks.ops.capacity.history import PERIOD_S, History
from tasks.ops.capacity.report import Outlook, amount, moment, when

BLUE, BAND, RED, GREY = "#1f5fa8", "#9cc1e8", "#c0392b", "#808080"
NAME_CHARS = 80


def draw(history: History, outlook: Outlook, found: Forecast | None) -> bytes:
    """The picture, PNG."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
    from matplotlib.figure import Figure  # not pyplot: it keeps every figure and wants a display
    from matplotlib.ticker import FuncFormatter

    figure = Figure(figsize=(9, 4), layout="constrained")
    axis: Any = figure.add_subplot()
    step_s = PERIOD_S[history.period]
    past = [moment(history.start_s + number * step_s) for number in range(len(history.values))]
    values = [float("nan") if one is None else one for one in history.values]
    axis.plot(past, values, color=BLUE, linewidth=1.2, label="history")
    if found is not None:
        _draw_forecast(axis, history, outlook.limit, found)
    if outlook.limit is not None:
        axis.axhline(outlook.limit, color=RED, linewidth=1.2, linestyle="--", label="limit")
    for reset in outlook.resets:
        axis.axvline(reset, color=GREY, linewidth=0.6, linestyle=":")
    told = when(outlook) if outlook.status == "forecast" else outlook.status.replace("_", " ")
    # Names and units come from outside: `$` in them is no mathematics.
    axis.set_title(f"{cut(plain(outlook.name), NAME_CHARS)}: {told}", parse_math=False, loc="left", fontsize=10)
    axis.set_ylabel(plain(outlook.unit), parse_math=False)
    locator = AutoDateLocator()
    axis.xaxis.set_major_locator(locator)
    axis.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axis.yaxis.set_major_formatter(FuncFormatter(_tick))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper left", frameon=False, fontsize=8)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=110, metadata={"Software": None})
    return stream.getvalue()


def _tick(value: float, _position: int) -> str:
    return amount(value)


def _draw_forecast(axis: Any, history: History, limit: float | None, found: Forecast) -> None:
    step_s, begin = PERIOD_S[history.period], len(history.values)
    # Far beyond the limit nothing matters, and it would make all else flat.
    late = found.latest_days or found.earliest_days
    shown = len(found.middle) if late is None else min(len(found.middle), round(1.3 * late / history.period_days) + 7)
    ahead = [moment(history.start_s + (begin + number) * step_s) for number in range(shown)]
    axis.fill_between(ahead, found.low[:shown], found.high[:shown], color=BAND, linewidth=0, label="interval")
    axis.plot(ahead, found.middle[:shown], color=BLUE, linewidth=1.2, linestyle="--", label=found.model)
    top = max(one for one in (*history.values, limit) if one is not None)
    low = min(one for one in (*history.values, *found.low[:shown], limit) if one is not None)
    axis.set_ylim(
        max(low, min(one for one in history.values if one is not None) - (top - low)), top + 0.25 * (top - low)
    )
