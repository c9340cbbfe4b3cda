"""How Prefect's runner starts a flow run in a warm process."""

import signal
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from typing import Literal, cast
from uuid import uuid4

import anyio
from anyio.abc import TaskStatus
from prefect.client.schemas.objects import FlowRun, State
from prefect.runner._control_channel import ControlChannel
from prefect.runner._process_manager import ProcessHandle

from deployments.warm import claims, kin
from deployments.warm.preloaded import Preloaded, Process
from deployments.warm.wire import Start

RUN_DEFAULTS = {"PREFECT_CLIENT_SERVER_VERSION_CHECK_ENABLED": "false"}
"""Settings of runs where nothing else is set: their worker, of the same version, has asked the server for its own."""

STOP_GRACE_S = 30.0
"""What a run has to end after SIGTERM, as with Prefect's own worker."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What a flow run is to be started with.

    Attributes:
        environment: Environment of the job: that of the worker, its settings, and the job's own variables.
        folder: Working directory; None = a temporary one.
        quiet: Whether its output is thrown away.
        entrypoint: Module path of the flow.
    """

    environment: dict[str, str | None]
    folder: str | None
    quiet: bool
    entrypoint: str

    def start(self, flow_run: FlowRun, extra: dict[str, str]) -> Start:
        """The order to the forkserver; the environment is put together as Prefect's EngineCommandStarter does it."""
        environment: dict[str, str | None] = {
            **RUN_DEFAULTS,
            **self.environment,
            "PREFECT__FLOW_RUN_ID": str(flow_run.id),
            "PREFECT__FLOW_ENTRYPOINT": self.entrypoint,
            "PREFECT__ENABLE_CANCELLATION_AND_CRASHED_HOOKS": "false",
            kin.ATTEMPT: (key := uuid4().hex),
            **extra,
        }
        return Start(
            key=key,
            claim=str(claims.mine()),
            environment={name: value for name, value in environment.items() if value is not None},
            folder=self.folder,
            quiet=self.quiet,
        )


@dataclass
class Group:
    """Prefect's termination scope: signals reach the whole process group of the run, through its forkserver.

    Only the forkserver knows that a process id is still the run's: it alone waits for it.
    """

    preloaded: Preloaded
    process: Process
    wait_after_graceful_kill: bool = True

    def is_alive(self, pid: int) -> bool:
        """Whether anything of the run is left."""
        return self.process.returncode is None

    def graceful_kill(self, pid: int) -> None:
        """Ask it to end."""
        self._signal(signal.SIGTERM)

    def hard_kill(self, pid: int) -> None:
        """End it."""
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Nothing to close."""

    def _signal(self, number: signal.Signals) -> None:
        if self.process.returncode is not None:
            raise ProcessLookupError
        self.preloaded.signal(self.process, number)


@dataclass(frozen=True)
class WarmStarter:
    """Starts the process of one flow run from a forkserver."""

    preloaded: Preloaded
    prepared: Prepared
    control_channel: ControlChannel

    async def start(
        self, flow_run: FlowRun, task_status: TaskStatus[ProcessHandle] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        """Start the run and wait for its end."""
        process = await self.preloaded.fork(self.prepared.start(flow_run, self._control(flow_run)))
        group = Group(self.preloaded, process)
        try:
            # The handle asks its process for two things only: pid and returncode.
            task_status.started(ProcessHandle(cast(SpawnProcess, process), termination_scope=group))
            await process.ended.wait()
        except BaseException:
            with anyio.CancelScope(shield=True):
                await _stop(group)
            raise

    def _control(self, flow_run: FlowRun) -> dict[str, str]:
        """Where the run hears that it is to be cancelled."""
        try:
            port, token = self.control_channel.register(flow_run.id)
        except RuntimeError:  # no port could be bound: it is cancelled by signals then
            return {}
        return {"PREFECT__CONTROL_PORT": str(port), "PREFECT__CONTROL_TOKEN": token}


@dataclass(frozen=True)
class WarmHooks:
    """Runs a flow's hooks in a forked process, not in the worker, which never loads flows."""

    preloaded: Preloaded
    prepared: Prepared

    async def run_crashed_hooks(self, flow_run: FlowRun, state: State) -> None:
        """Run `on_crashed`."""
        await self._run("crashed", flow_run, state)

    async def run_cancellation_hooks(self, flow_run: FlowRun, state: State) -> None:
        """Run `on_cancellation`."""
        await self._run("cancellation", flow_run, state)

    async def _run(self, work: Literal["crashed", "cancellation"], flow_run: FlowRun, state: State) -> None:
        start = self.prepared.start(flow_run, {})
        hook_input = (flow_run.model_dump_json(), state.model_dump_json())
        process = await self.preloaded.fork(start.model_copy(update={"work": work, "hook_input": hook_input}))
        await process.ended.wait()


async def _stop(group: Group) -> None:
    """Ask the run to end, and end it after the grace."""
    for kill in (group.graceful_kill, group.hard_kill):
        try:
            kill(0)
        except ProcessLookupError:
            return
        with anyio.move_on_after(STOP_GRACE_S):
            await group.process.ended.wait()
            return
