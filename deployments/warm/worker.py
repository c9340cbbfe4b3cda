"""The worker type `warm`: Prefect's process worker, whose runs start from a preloaded process."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
from anyio.abc import TaskStatus
from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.responses import WorkerFlowRunResponse
from prefect.exceptions import Abort, ObjectNotFound
from prefect.runner._flow_run_executor import FlowRunExecutorContext
from prefect.settings import (
    PREFECT_WORKER_PREFETCH_SECONDS,
    PREFECT_WORKER_QUERY_SECONDS,
    temporary_settings,
)
from prefect.states import Pending
from prefect.utilities.engine import propose_state
from prefect.workers.base import BaseWorkerResult
from prefect.workers.process import ProcessJobConfiguration, ProcessWorker, ProcessWorkerResult

from blocks.errors import Conflict
from blocks.settings import settings
from deployments.warm import claims, kin
from deployments.warm.forkservers import Forkservers
from deployments.warm.launch import Located, WarmJobConfiguration, execute, prepare
from deployments.warm.starter import WarmHooks, WarmStarter
from deployments.warm.trust import share_trust_store
from deployments.warm.wake import hear

POLL_S = 1.0
"""How often a worker asks for runs when PREFECT_WORKER_QUERY_SECONDS is not set; as a rule events come first."""

AGAIN_S = (0.05, 0.1, 0.3)
"""Pauses before each question after word of a run.

The server sends word before the run is in its database, and a question writes too (when a queue was last
asked): at once, it could make SQLite refuse the run, which its submitter would repeat only after 2 s.
"""

TEND_S = 5.0
RECLAIM_S = 30.0


class WarmWorker(ProcessWorker):
    """Runs flow runs in processes forked from one that has loaded Prefect and our flows."""

    type = "warm"
    job_configuration = WarmJobConfiguration
    _description = "Execute flow runs in processes that start at once, with the flows of C500 loaded."
    _display_name = "Warm"

    def __init__(self, *args: Any, prefetch_seconds: float | None = None, **options: Any) -> None:
        # A run fetched early would hold a slot until its time comes; the CLI passes Prefect's default.
        early_s = 0 if prefetch_seconds in (None, PREFECT_WORKER_PREFETCH_SECONDS.default()) else prefetch_seconds
        super().__init__(*args, prefetch_seconds=early_s, **options)
        self._forkservers = Forkservers(settings(), self._logger)
        self._due = asyncio.Event()
        self._asking = asyncio.Lock()
        self._running: set[UUID] = set()
        self._tending: list[asyncio.Task[None]] = []
        self._reachable = True

    async def start(
        self, run_once: bool = False, with_healthcheck: bool = False, printer: Callable[..., None] = print
    ) -> None:
        """Start the worker; see `BaseWorker.start`."""
        with temporary_settings(set_defaults={PREFECT_WORKER_QUERY_SECONDS: POLL_S}):
            await super().start(run_once, with_healthcheck, printer)

    async def setup(self) -> None:
        """Connect, and start loading the code."""
        share_trust_store()
        await super().setup()
        duties = (self._keep_fresh, self._hear_of_runs, self._start_when_due, self._reclaim)
        self._tending = [asyncio.create_task(self._do(duty)) for duty in duties]

    async def teardown(self, *exc_info: Any) -> None:
        """End the runs in hand as Prefect's own worker does, then the forkserver."""
        for task in self._tending:
            task.cancel()
        try:
            await super().teardown(*exc_info)
        finally:
            with anyio.CancelScope(shield=True):
                await self._forkservers.close()

    async def get_and_submit_flow_runs(self) -> list[FlowRun]:
        """Start the runs that are due; a server that is away for a while must not end the worker and its runs."""
        try:
            async with self._asking:
                runs = await super().get_and_submit_flow_runs()
        except httpx.HTTPError as error:
            self._away(error)
            return []
        self._reachable = True
        return runs

    async def run(
        self, flow_run: FlowRun, configuration: ProcessJobConfiguration, task_status: TaskStatus[int] | None = None
    ) -> ProcessWorkerResult:
        """Run a flow run to its end: from the forkserver when it can serve it, else in a fresh interpreter."""
        status = Located(task_status or anyio.TASK_STATUS_IGNORED)
        async with self._forkservers.lease() as preloaded:
            prepared = preloaded and prepare(configuration, preloaded)
            if preloaded and prepared:
                async with FlowRunExecutorContext() as context:
                    executor = context.create_executor(
                        flow_run,
                        WarmStarter(preloaded, prepared, context.control_channel),
                        propose_submitting=False,
                        hook_runner=WarmHooks(preloaded, prepared),
                    )
                    return await execute(executor.submit, status)
        return await self._run_fresh(flow_run, configuration, status)

    async def _run_fresh(
        self, flow_run: FlowRun, configuration: ProcessJobConfiguration, status: TaskStatus[int]
    ) -> ProcessWorkerResult:
        """As Prefect's own worker runs it, but it ends with this worker."""
        key = uuid4().hex
        configuration.env[kin.ATTEMPT] = key
        self._forkservers.tether(key, on=True)
        result = await super().run(flow_run, configuration, status)
        self._forkservers.tether(key, on=False)  # not when it was cut short: what is left of it ends with the worker
        return result

    # What Prefect's worker does to a run before and after, with this worker's claim on it.

    async def _submit_scheduled_flow_runs(self, flow_run_response: list[WorkerFlowRunResponse]) -> list[FlowRun]:
        # One that is due again before its last attempt has left holds a slot still; it comes with the next poll.
        new = [entry for entry in flow_run_response if not self._in_hand(entry.flow_run.id)]
        return await super()._submit_scheduled_flow_runs(new)

    async def _submit_run(self, flow_run: FlowRun) -> None:
        try:
            await super()._submit_run(flow_run)
        except httpx.HTTPError as error:  # before it was claimed: it stays due
            self._submitting_flow_run_ids.discard(flow_run.id)
            self._away(error)
        finally:
            if not self._in_hand(flow_run.id):  # Prefect keeps the slot of a run whose deployment is gone
                self._release_limit_slot(flow_run.id)

    async def _submit_run_and_capture_errors(
        self, flow_run: FlowRun, task_status: TaskStatus[int | Exception] | None = None
    ) -> BaseWorkerResult | Exception:
        self._running.add(flow_run.id)
        try:
            return await super()._submit_run_and_capture_errors(flow_run, task_status)
        finally:
            self._running.discard(flow_run.id)
            self._due.set()  # its slot is free

    async def _propose_pending_state(self, flow_run: FlowRun) -> bool:
        log = self.get_flow_run_logger(flow_run)
        try:
            state = await propose_state(self.client, Pending(message=str(claims.mine())), flow_run_id=flow_run.id)
        except Abort as refused:
            log.info("Not started here: %s", refused)
            return False
        except Exception:
            log.exception("The run could not be claimed")
            return False
        return state.is_pending() and state.message == str(claims.mine())

    async def _propose_submitting_state(self, flow_run: FlowRun) -> None:
        """Start it only while it is ours.

        The state `Submitting` would be taken from whoever proposes it, also when another worker has the run by now.
        """
        try:
            held = await claims.is_mine(self.client, flow_run.id)
        except httpx.HTTPError as error:  # then the run's own process looks
            self._away(error)
            return
        if not held:
            raise Conflict(
                "the run is no longer this worker's", fix="nothing to do: another worker has it, or it ended"
            )

    async def _propose_crashed_state(
        self, flow_run: FlowRun, message: str, client: PrefectClient | None = None
    ) -> None:
        """Report a death that is not reported yet: by now the run may be another attempt's."""
        try:
            held = await claims.is_mine(client or self.client, flow_run.id)
        except (httpx.HTTPError, ObjectNotFound) as error:  # what is not reported now is reclaimed later
            self._logger.warning("the end of run %r could not be reported yet: %r", flow_run.name, error)
            return
        if held:
            await super()._propose_crashed_state(flow_run, message, client)

    async def _give_worker_labels_to_flow_run(self, flow_run_id: UUID) -> None:
        """Done while the run starts: the server may take 2 s for it; see `deployments.warm.claims`."""
        if self._runs_task_group:
            self._runs_task_group.start_soon(self._label, flow_run_id)

    async def _label(self, flow_run_id: UUID) -> None:
        try:
            await super()._give_worker_labels_to_flow_run(flow_run_id)
        except (httpx.HTTPError, ObjectNotFound) as error:  # they only inform
            self._logger.debug("the run %s got no labels: %r", flow_run_id, error)

    async def _cancel_run(self, flow_run_id: UUID) -> None:
        try:
            await super()._cancel_run(flow_run_id)
        except httpx.HTTPError as error:
            self._away(error)

    def _in_hand(self, run_id: UUID) -> bool:
        return run_id in self._running or run_id in self._submitting_flow_run_ids

    def _away(self, error: httpx.HTTPError) -> None:
        """Note that the server does not answer; what it answers is another matter."""
        if isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500:
            raise error
        if self._reachable:
            self._logger.warning("the Prefect server cannot be reached; runs go on meanwhile: %r", error)
        self._reachable = False

    # Duties of its own while it runs.

    async def _do(self, duty: Callable[[], Awaitable[None]]) -> None:
        """Take a duty up again when it fails: runs in hand do not depend on it."""
        while True:
            try:
                await duty()
            except Exception:
                self._logger.exception("A duty of the worker failed; it goes on in %g s", TEND_S)
            await asyncio.sleep(TEND_S)

    async def _keep_fresh(self) -> None:
        while True:
            await self._forkservers.renew()
            await asyncio.sleep(TEND_S)

    async def _hear_of_runs(self) -> None:
        while self._work_pool is None:  # noqa: ASYNC110 - Prefect sets it and tells nobody
            await asyncio.sleep(POLL_S)
        await hear(self.work_pool.id, self._due, self._logger)

    async def _start_when_due(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            for pause_s in AGAIN_S:
                await asyncio.sleep(pause_s)
                await self.get_and_submit_flow_runs()

    async def _reclaim(self) -> None:
        while True:
            try:
                for run, state in await claims.reclaim(self.client, self._work_pool_name, self._in_hand):
                    self._logger.warning("run %r of a worker that is gone: now %s", run.name, state.name)
            except httpx.HTTPError as error:
                self._away(error)
            await asyncio.sleep(RECLAIM_S)
