"""Switches of this machine and of several together: what either stops is stopped."""

from collections.abc import Collection, Mapping

from blocks.errors import StoreFailed
from blocks.switches.switch import Run, Scope, Switch, Switches


class BothSwitches:
    """Files of this machine, and a store that machines share.

    A switch is set in the shared store; while that is away, in the files, so that at least this machine stops.

    Args:
        local: Of this machine.
        shared: Of several.
    """

    def __init__(self, local: Switches, shared: Switches) -> None:
        self._local, self._shared = local, shared

    def set(self, switch: Switch) -> None:
        """See `Switches`.

        Raises:
            StoreFailed: the shared store is away, and the switch is set on this machine only.
        """
        try:
            self._shared.set(switch)
        except StoreFailed as error:
            self._local.set(switch)
            raise StoreFailed(
                f"stopped on this machine only: {error.message}",
                fix="machines that cannot read the shared switches stop by themselves; set it again when they can",
            ) from error

    def clear(self, scope: Scope, name: str = "") -> Switch | None:
        """See `Switches`."""
        local = self._local.clear(scope, name)
        shared = self._shared.clear(scope, name)
        return _joined(local, shared)

    def list(self) -> tuple[Switch, ...]:
        """See `Switches`."""
        found: dict[tuple[Scope, str], Switch] = {}
        for switch in (*self._local.list(), *self._shared.list()):
            place = (switch.scope, switch.name)
            found[place] = _joined(found.get(place), switch) or switch
        return tuple(found.values())

    async def look(self, runs: Collection[Run]) -> Mapping[Run, Switch]:
        """See `Switches`."""
        local = await self._local.look(runs)
        others = [run for run in runs if run not in local]
        return {**local, **(await self._shared.look(others) if others else {})}

    async def stopped(self, agent: str, run_id: str) -> Switch | None:
        """See `Switches`."""
        return (await self.look([(agent, run_id)])).get((agent, run_id))


def _joined(first: Switch | None, second: Switch | None) -> Switch | None:
    """One switch that was set in both stores."""
    if first is None or second is None:
        return first or second
    with_pools = tuple(dict.fromkeys((*first.paused, *second.paused)))
    return second.model_copy(update={"paused": with_pools})
