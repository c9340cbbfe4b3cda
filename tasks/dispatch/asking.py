"""Steps that ask a model: kept by content like every step, and never tried again by Prefect."""

from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prefect import Task

from blocks.steps import step
from tasks.dispatch.means import computing

P = ParamSpec("P")
R = TypeVar("R")


def asking(
    name: str, run_name: str | None = None
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Task[P, Coroutine[Any, Any, R]]]:
    """Make an async function a step that asks a model.

    The pool has tried other accounts already, as long as the deadline let it: another attempt of Prefect's, seconds
    later, would only be late.

    Args:
        name: The step's name in Prefect and in cache keys.
        run_name: What its run is called, with the step's parameters in braces.
    """
    decorate = step(name, ignore=())

    def made(function: Callable[P, Coroutine[Any, Any, R]]) -> Task[P, Coroutine[Any, Any, R]]:
        task = decorate(_noted(function))
        task.retries, task.task_run_name = 0, run_name
        return task

    return made


def _noted(function: Callable[P, Coroutine[Any, Any, R]]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Note that it is computed, for `Means.have`: a step found done is not called."""

    @wraps(function)
    async def noted(*args: P.args, **kwargs: P.kwargs) -> R:
        if (seen := computing.get()) is not None:
            seen.computed = True
        return await function(*args, **kwargs)

    return noted
