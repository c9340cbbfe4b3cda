"""Model and tool calls of an agent as Prefect tasks, whose results a later attempt of the run finds."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from prefect.cache_policies import CachePolicy
from prefect.context import TaskRunContext
from prefect.utilities.annotations import quote
from pydantic_ai.durable_exec import CallableOperationBackend, DurableOperationBackend
from pydantic_ai.durable_exec.prefect import PrefectDurability, TaskConfig
from pydantic_ai.tools import RunContext


@dataclass
class PlaceInRun(CachePolicy):
    """Results are found again by every attempt of the same run of an agent, in whatever flow run.

    A call is known by its place in the run, and not by what it is given: between two attempts rules, tools and our own
    texts may change, and a model that was asked anew would do everything a second time, under new names of calls.

    Attributes:
        run_id: Of the agent's run.
    """

    run_id: str = ""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """Which call of the run it is: of the model the step, of a tool the call's id. None for anything else.

        Compaction has the same model write a summary within a step; that is kept by itself, see `KeptSummaries`.
        """
        given: Sequence[Any] = inputs.get("logical_inputs") or ()
        contexts: list[RunContext[Any]] = [one for one in given if isinstance(one, RunContext)]
        if not contexts:
            return None
        [context] = contexts
        if context.tool_call_id is None and not _is_of(context, given):
            return None
        place = f"{self.run_id}/{inputs.get('operation_name')}/{context.tool_call_id or context.run_step}"
        return sha256(place.encode("utf-8", "surrogatepass")).hexdigest()


def _is_of(context: RunContext[Any], given: Sequence[Any]) -> bool:
    """Whether a call of the model has the run's own conversation."""
    lists = [cast("list[Any]", one) for one in given if isinstance(one, list)]
    return any(getattr(message, "run_id", None) == context.run_id for messages in lists for message in messages)


class UnwalkedDurability(PrefectDurability[str]):
    """Durability without Prefect's search for futures in what the calls are given.

    Prefect looks at each value of each message, twice a call, and a conversation holds no futures; what that costs,
    `python -m tests.bench agent_step` shows.
    """

    def get_durable_operation_backend(self) -> DurableOperationBackend[TaskConfig]:
        """Prefect's backend, whose tasks get the inputs in a wrapper that Prefect does not look into."""
        backend = cast("CallableOperationBackend[TaskConfig]", super().get_durable_operation_backend())
        execute = backend.execute

        async def unwalked(*, cache_key: tuple[object, ...], **operation: Any) -> object:
            return await execute(cache_key=tuple(quote(one) for one in cache_key), **operation)

        backend.execute = unwalked
        return backend


def durability(run_id: str, folder: Path) -> PrefectDurability[str]:
    """The capability that stores results of model and tool calls.

    Args:
        run_id: Of the agent's run.
        folder: Where; private, since a result is a pickle, which whoever writes it can make run code.
    """
    config = TaskConfig(
        persist_result=True,
        retries=0,
        cache_policy=PlaceInRun(run_id=run_id),
        # A folder by its path: a block would have to be saved in the server first (Prefect 3.8).
        result_storage=cast("Any", folder),
    )
    config["result_serializer"] = "pickle"  # pyright: ignore[reportGeneralTypeIssues] - with json tools run twice
    return UnwalkedDurability(model_task_config=config, tool_task_config=config, mcp_task_config=config)
