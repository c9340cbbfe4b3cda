"""Model and tool calls of an agent as Prefect tasks, whose results a later attempt of the run finds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from prefect.cache_policies import TASK_SOURCE, CachePolicy
from prefect.context import TaskRunContext
from pydantic_ai.durable_exec.prefect import PrefectDurability, TaskConfig
from pydantic_ai.durable_exec.prefect._cache_policies import (  # the policy has no public name
    PrefectAgentInputs,  # pyright: ignore[reportPrivateUsage]
)


@dataclass
class OfRun(CachePolicy):
    """Results are found again by every attempt of the same run of an agent, in whatever flow run.

    Attributes:
        run_id: Of the agent's run.
    """

    run_id: str = ""

    def compute_key(
        self, task_ctx: TaskRunContext, inputs: dict[str, Any], flow_parameters: dict[str, Any], **kwargs: Any
    ) -> str | None:
        """The run's id."""
        return self.run_id


def durability(run_id: str, folder: Path) -> PrefectDurability[str]:
    """The capability that stores results of model and tool calls.

    Args:
        run_id: Of the agent's run.
        folder: Where; private, since a result is a pickle, which whoever writes it can make run code.
    """
    config = TaskConfig(
        persist_result=True,
        retries=0,
        cache_policy=PrefectAgentInputs() + TASK_SOURCE + OfRun(run_id=run_id),
        # A folder by its path: a block would have to be saved in the server first (Prefect 3.8).
        result_storage=cast("Any", folder),
    )
    config["result_serializer"] = "pickle"  # pyright: ignore[reportGeneralTypeIssues] - with json tools run twice
    return PrefectDurability(model_task_config=config, tool_task_config=config, mcp_task_config=config)
