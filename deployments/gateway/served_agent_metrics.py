"""The metrics of agents as this gateway serves them: nothing where no agent has ever worked."""

from typing import TYPE_CHECKING

from prefect.client.orchestration import PrefectClient

from blocks.settings import settings
from deployments.gateway.desk import Desk
from deployments.gateway.llm import LivePool

if TYPE_CHECKING:
    from deployments.gateway.agent_metrics import AgentExposition


class ServedAgentMetrics:
    """Opened at the first scrape after an agent has worked: a gateway for audio needs none of it.

    Args:
        desk: Where approvals and switches are.
        prefect: The server that keeps the queue.
        live_pool: The accounts with their budgets.
    """

    def __init__(self, desk: Desk, prefect: PrefectClient, live_pool: LivePool) -> None:
        self._desk, self._prefect, self._live_pool = desk, prefect, live_pool
        self._exposition: AgentExposition | None = None

    async def exposed(self) -> bytes:
        """The metrics as Prometheus reads them."""
        home = settings().agents_home.expanduser()
        if self._exposition is None and home.is_dir():
            self._exposition = self._opened()
        return b"" if self._exposition is None else await self._exposition.exposed()

    def _opened(self) -> "AgentExposition":
        from blocks.agent_metrics import FOLDER, AgentMetrics
        from deployments.gateway.agent_gauges import agent_gauges
        from deployments.gateway.agent_metrics import AgentExposition
        from tasks.agents.breaker import FileBreakers

        home = settings().agents_home.expanduser()
        gauges = agent_gauges(
            home,
            switches=self._desk.switches,
            breakers=FileBreakers(home / "breakers"),
            approvals=self._desk.approvals,
            prefect=self._prefect,
            live_pool=self._live_pool,
        )
        return AgentExposition(AgentMetrics(home / FOLDER), gauges)
