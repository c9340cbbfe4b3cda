"""What must hold of a latency."""

import re
from typing import Annotated, Literal

from pydantic import Field

from blocks.errors import BadInput
from blocks.model import Frozen

Measure = Literal["ttft", "total"]
"""Time to the first token, or to the last."""

GOAL = re.compile(r"(ttft|total):p(50|90|95|99):(\d{1,7}(?:\.\d{1,3})?)")


class Goal(Frozen):
    """A percentile that must stay below a time.

    Attributes:
        measure: Of which latency.
        percent: Which percentile.
        below_ms: The time in milliseconds.
    """

    measure: Measure
    percent: Literal[50, 90, 95, 99]
    below_ms: Annotated[float, Field(gt=0)]

    def __str__(self) -> str:
        return f"p{self.percent} of {self.measure} below {self.below_ms:g} ms"


DEFAULT_GOALS = (Goal(measure="ttft", percent=95, below_ms=300), Goal(measure="total", percent=95, below_ms=500))
"""«A few hundred milliseconds»: a pause of half a second is heard as one."""


def read_goal(text: str) -> Goal:
    """A goal as `ttft:p95:300`.

    Raises:
        BadInput: it is none.
    """
    if (found := GOAL.fullmatch(text.strip())) is None:
        raise BadInput(f"--goal is {text!r:.60}", fix="write it as ttft:p95:300 or total:p99:800", field="--goal")
    measure, percent, below = found.groups()
    return Goal.model_validate({"measure": measure, "percent": int(percent), "below_ms": float(below)})
