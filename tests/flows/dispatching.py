"""Requests as the tests of `dispatch_request` make them."""

from typing import Any

from blocks.store import open_store
from tasks.dispatch.publish import read_dispatch
from tasks.dispatch.request import DispatchOptions, DispatchRequest
from tasks.dispatch.result import DispatchResult
from tests.fakes.llm.team import planned, task

REQUEST = "Should our bakery open a second shop? Compare rent, demand and staff."

SIX = planned(
    task("rent"),
    task("demand"),
    task("staff"),
    task("rivals"),
    task("costs", "rent", "staff"),
    task("proposal", "costs", "demand", "rivals"),
)
"""Four sub-tasks side by side, one that needs two of them, one that needs the rest."""

PAIR = planned(task("rent"), task("costs", "rent"))
"""Where the form of the plan does not matter."""


def options(**given: Any) -> DispatchOptions:
    """Options with no round of improvement and half a minute, unless said otherwise."""
    return DispatchOptions(**{"rounds": 0, "deadline_s": 30, **given})


def stored(request: str = REQUEST, asked: DispatchOptions | None = None) -> DispatchResult:
    """What the store holds of a request."""
    found = read_dispatch(open_store(), DispatchRequest(text=request, options=asked or options()).dispatch_id)
    assert found is not None
    return found
