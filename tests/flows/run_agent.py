"""Run agents, each in a fork that may kill itself at a given moment.

Takes on each line of standard input the parameters of `run_agent`, and under `kill` when to die, as JSON; prints
`pid N` when a run begins and `ended {…}` when it has ended: with its result, its error, or the signal that killed it.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import BaseModel, ConfigDict

from blocks.action import Touched
from flows import run_agent
from tasks.agents import perform, registry
from tasks.agents.permission import Permission
from tasks.agents.pooled_model import PooledModel
from tasks.agents.result import AgentOptions
from tasks.agents.tool import Call, Place, Tool
from tests.fakes.forks import serve


class Line(BaseModel):
    """What is appended."""

    model_config = ConfigDict(extra="forbid")

    text: str


async def append(arguments: Line, call: Call) -> str:
    """An effect that shows each time it happens."""
    path = call.place.workspace.resolve("effects.txt")
    with path.open("a") as file:
        file.write(arguments.text + "\n")
    return f"{arguments.text} is written"


def touches(_arguments: Line, place: Place) -> Touched:
    return Touched(writes=(str(place.workspace.resolve("effects.txt")),))


APPEND = Tool(
    name="append_line",
    description="Append a line to effects.txt.",
    arguments=Line,
    call=append,
    risk="low",
    reversible=True,
    touches=touches,
)


class Dying:
    """Kills this process at the n-th time that a moment comes.

    Args:
        moment: As `model-before`, `tool-during`.
        number: Counts from 1, in this process.
    """

    def __init__(self, moment: str, number: int) -> None:
        self._moment, self._left = moment, number

    def pass_by(self, moment: str) -> None:
        """A moment has come."""
        if moment == self._moment:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, what: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        """The call with the moments before and after it."""

        async def passing(*args: Any, **kwargs: Any) -> Any:
            self.pass_by(f"{what}-before")
            result = await call(*args, **kwargs)
            self.pass_by(f"{what}-after")
            return result

        return passing


def arm(dying: Dying) -> None:
    """Put the moments into the code: around the model, permission, tool, and the effect itself."""
    PooledModel.request = dying.around("model", PooledModel.request)  # type: ignore[method-assign]
    Permission.wrap_tool_execute = dying.around("step", Permission.wrap_tool_execute)  # type: ignore[method-assign]
    perform._within_time = dying.around("effect", perform._within_time)


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Run an agent."""
    if (kill := asked.pop("kill")) is not None:
        arm(Dying(*kill))
    options = AgentOptions(**asked.pop("options"))
    return {"result": asyncio.run(run_agent(**asked, options=options)).model_dump(mode="json")}


if __name__ == "__main__":
    built_in = registry.built_in
    registry.built_in = lambda *given: {**built_in(*given), APPEND.name: APPEND}
    serve(run)
