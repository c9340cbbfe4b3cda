"""Work that is killed with SIGKILL just before and just after each of some calls, one moment after another."""

import asyncio
import os
import signal
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any


def killed_at(moment: int, work: Callable[[], Any], *calls: tuple[type, str]) -> bool:
    """Work in a child process that is killed at a moment; whether there was such a moment.

    Args:
        moment: From 1; each call has two, before and after it.
        work: Gives the coroutine, in the child.
        calls: Classes with the names of their methods.
    """
    if not (child := os.fork()):
        _die(moment, work, calls)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed by itself"
    return os.WIFSIGNALED(status)


def _die(moment: int, work: Callable[[], Any], calls: tuple[tuple[type, str], ...]) -> None:
    left = moment

    def come() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in calls:
        setattr(owner, name, _dying(getattr(owner, name), come))
    code = 1
    try:
        asyncio.run(work())
        code = 0
    finally:
        os._exit(code)


def _dying(call: Callable[..., Any], come: Callable[[], None]) -> Callable[..., Any]:
    async def awaited(*given: Any, **more: Any) -> Any:
        come()
        done = await call(*given, **more)
        come()
        return done

    def called(*given: Any, **more: Any) -> Any:
        come()
        done = call(*given, **more)
        come()
        return done

    return awaited if iscoroutinefunction(call) else called
