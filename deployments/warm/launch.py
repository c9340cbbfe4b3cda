"""Which runs a forkserver can serve, and how Prefect's executor is driven for them."""

import socket
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Protocol

import anyio
from anyio.abc import TaskStatus
from prefect.client.schemas.responses import DeploymentResponse
from prefect.runner._flow_run_executor import FlowRunExecutionResult
from prefect.runner._process_manager import ProcessHandle
from prefect.settings import Settings, get_current_settings
from prefect.workers.process import ProcessJobConfiguration, ProcessWorkerResult

from blocks.errors import EngineUnavailable
from deployments.warm.preloaded import Preloaded
from deployments.warm.starter import Prepared

FIXED_AT_START = ("PYTHON", "LD_", "GLIBC_", "MALLOC_", "LANG", "LC_", "OMP_", "OPENBLAS_", "MKL_", "NUMEXPR_")
"""Variables that the interpreter and its libraries read once: a run that changes one needs a fresh interpreter."""


class WarmJobConfiguration(ProcessJobConfiguration):
    """Prefect's, but it writes the settings out once, not for each run: that takes 35 ms (Prefect 3.8.8, measured)."""

    @classmethod
    def _base_environment(cls) -> dict[str, str]:
        settings = get_current_settings()
        if _written.settings is not settings:
            _written.settings, _written.environment = settings, super()._base_environment()
        return dict(_written.environment)


@dataclass
class _Written:
    settings: Settings | None = None
    environment: dict[str, str] = field(default_factory=dict[str, str])


_written = _Written()


class Submit(Protocol):
    """`FlowRunExecutor.submit`."""

    def __call__(self, task_status: TaskStatus[ProcessHandle]) -> Awaitable[FlowRunExecutionResult | None]: ...


@dataclass(frozen=True)
class Located:
    """Reports the process of a run with the host it is on, as Prefect records it on the run."""

    status: TaskStatus[Any]

    def started(self, value: object = None) -> None:
        """The process is there."""
        self.status.started(f"{socket.gethostname()}:{value}")


def prepare(configuration: ProcessJobConfiguration, preloaded: Preloaded) -> Prepared | None:
    """What to start the run with; None when it needs a fresh interpreter.

    It does when its deployment has a command, fetches its code (pull steps, storage, a path of a file),
    names a module that is not loaded, or sets a variable that is read at the start of an interpreter only.
    """
    deployment = configuration._related_objects.get("deployment")  # pyright: ignore[reportPrivateUsage]
    if not isinstance(deployment, DeploymentResponse) or configuration._command_configured:  # pyright: ignore[reportPrivateUsage]
        return None
    entrypoint = deployment.entrypoint or ""
    if deployment.pull_steps or deployment.storage_document_id or ":" in entrypoint:
        return None
    if entrypoint.rpartition(".")[0] not in preloaded.loaded:
        return None
    if fixed(configuration.env) != fixed(preloaded.environment):
        return None
    return Prepared(
        environment=configuration.env,
        folder=str(configuration.working_dir) if configuration.working_dir else None,
        quiet=not configuration.stream_output,
        entrypoint=entrypoint,
    )


def fixed(environment: dict[str, str] | dict[str, str | None]) -> dict[str, str]:
    """The variables that cannot be changed in a running interpreter."""
    return {name: value for name, value in environment.items() if value is not None and name.startswith(FIXED_AT_START)}


async def execute(submit: Submit, status: TaskStatus[int]) -> ProcessWorkerResult:
    """Drive an executor to the end of its run, as `ProcessWorker.run` does.

    Raises:
        EngineUnavailable: The run's process could not be started.
    """
    execution: FlowRunExecutionResult | None = None

    async def drive(*, task_status: TaskStatus[ProcessHandle]) -> None:
        nonlocal execution
        execution = await submit(task_status)

    async with anyio.create_task_group() as group:
        handle: ProcessHandle = await group.start(drive)
        status.started(handle.pid or 0)
    if execution is None or execution.status_code is None:
        raise EngineUnavailable("the process of the run did not start", fix="see the log of the worker")
    return ProcessWorkerResult(status_code=execution.status_code, identifier=str(handle.pid))
