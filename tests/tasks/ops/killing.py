"""Work that is killed with SIGKILL just before and just after each of some calls, one moment after another."""

import asyncio
import os
import signal
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any

from blocks.hosts.local import LocalHost

Counts = Callable[[Any], bool]
"""Takes the first argument of a call: of a host's command its words."""

COMMANDS = ((LocalHost, "run"),)


def killed_at(
    moment: int,
    work: Callable[[], Any],
    *calls: tuple[type, str],
    counts: Counts = lambda _: True,
) -> bool:
    """Work in a child process that is killed at a moment; whether there was such a moment.

    Args:
        moment: From 1; each call that counts has two, before and after it.
        work: Gives the coroutine, in the child.
        calls: Classes with the names of their methods.
        counts: Whether a call does.
    """
    if not (child := os.fork()):
        _die(moment, work, calls, counts)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed by itself"
    return os.WIFSIGNALED(status)


def _die(moment: int, work: Callable[[], Any], calls: tuple[tuple[type, str], ...], counts: Counts) -> None:
    left = moment

    def come() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    for owner, name in calls:
        setattr(owner, name, _dying(getattr(owner, name), come, counts))
    code = 1
    try:
        asyncio.run(work())
        code = 0
    finally:
        os._exit(code)


def _dying(call: Callable[..., Any], come: Callable[[], None], counts: Counts) -> Callable[..., Any]:
    async def awaited(owner: Any, first: Any, *given: Any, **more: Any) -> Any:
        if not counts(first):
            return await call(owner, first, *given, **more)
        come()
        done = await call(owner, first, *given, **more)
        come()
        return done

    def called(owner: Any, first: Any, *given: Any, **more: Any) -> Any:
        if not counts(first):
            return call(owner, first, *given, **more)
        come()
        done = call(owner, first, *given, **more)
        come()
        return done

    return awaited if iscoroutinefunction(call) else called
