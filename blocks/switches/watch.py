"""Waiting for a stop: one look at the switches every 0.2 s, for all runs of a process together."""

import asyncio
from collections.abc import Iterable
from contextvars import Context
from weakref import WeakKeyDictionary

from blocks.switches.switch import Run, Switch, Switches, spoken_of

POLL_S = 0.2

Waiting = dict[asyncio.Future[Switch], frozenset[Run]]


class _Poller:
    """Looks at the switches as long as somebody waits for them."""

    def __init__(self, switches: Switches) -> None:
        self._switches = switches
        self._waiting: Waiting = {}
        self._polling: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    async def wait(self, runs: frozenset[Run]) -> Switch:
        future: asyncio.Future[Switch] = asyncio.get_running_loop().create_future()
        self._waiting[future] = runs
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), context=Context())
        try:
            return await future
        finally:
            del self._waiting[future]

    async def _poll(self) -> None:
        while self._waiting:
            try:
                found = await self._switches.look(frozenset[Run]().union(*self._waiting.values()))
            except Exception as error:  # noqa: BLE001 - those who wait get it; else nothing would stop them any more
                _give_up(self._waiting, error)
                return
            for future, runs in self._waiting.items():
                if (hit := next((found[run] for run in runs if run in found), None)) and not future.done():
                    future.set_result(hit)
            await asyncio.sleep(POLL_S)


def _give_up(waiting: Iterable[asyncio.Future[Switch]], error: Exception) -> None:
    for future in waiting:
        if not future.done():
            future.set_exception(error)


_pollers: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, _Poller]] = WeakKeyDictionary()


async def watch(switches: Switches, agent: str, run_id: str, *, parents: Iterable[str] = ()) -> Switch:
    """Wait until a run is stopped, and say by what; a stop is seen within 0.2 s and the time of a look.

    Args:
        switches: Where stops are set; all who wait share its looks.
        agent: The agent's name.
        run_id: The run.
        parents: Runs that this one works for; when they are stopped it is too.

    Raises:
        BadInput: a name that no agent or run can have.
    """
    runs = family(agent, run_id, parents)
    spoken_of(runs)  # a name that cannot be is the mistake of this run alone
    pollers = _pollers.setdefault(asyncio.get_running_loop(), {})
    poller = pollers.setdefault(id(switches), _Poller(switches))  # it holds them, so the id stays theirs
    try:
        return await poller.wait(runs)
    finally:
        if not poller.busy:
            pollers.pop(id(switches), None)


def family(agent: str, run_id: str, parents: Iterable[str] = ()) -> frozenset[Run]:
    """The runs whose stop ends this one."""
    return frozenset((agent, run) for run in (run_id, *parents))
