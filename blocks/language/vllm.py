"""vLLM in a process of this one: a language model on the GPU."""

import threading
from collections.abc import Sequence
from importlib.metadata import version
from types import TracebackType
from typing import Any, Self

from blocks.errors import Stopped
from blocks.inference.process import ModelProcess
from blocks.language.budget import TokenBudget, budget_of
from blocks.language.local_model import (
    cache_bytes_per_token,
    environment,
    gpu_share,
    model_name,
    output_settings,
    weight_bytes,
)
from blocks.language.protocol import Completion, LanguageTask, Prompt, Usage
from blocks.language.repair import Messages, Reply, answered
from blocks.models.locate import locate
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.transcript import EngineInfo
from blocks.vram import VramNeed

RUNTIME = "blocks.language.vllm_runtime:VllmRuntime"

MOST_PROMPTS = 16
"""Prompts computed at once at most: more gain little throughput on one GPU and take memory for a context each."""

ENVIRONMENT = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
"""vLLM computes within the process, not in a child of it: its errors arrive as they are instead of «see root cause
above», and its scheduling is deterministic. Source: vLLM's page on reproducibility."""


class VllmEngine:
    """A model of this machine, with JSON enforced while it writes.

    Two engines whose tasks have the same model are the same: a loaded one does for both.

    Args:
        task: What it is for; chooses LLM_ENHANCE_MODEL or LLM_SUM_MODEL.
    """

    def __init__(self, task: LanguageTask) -> None:
        self._model = locate(model_name(task))
        self._most_prompts = MOST_PROMPTS
        self._process = ModelProcess("vLLM", RUNTIME, self._config, environment() | ENVIRONMENT)

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        return EngineInfo(
            name="vllm", version=version("vllm"), model=self._model.name, settings=output_settings(self._model)
        )

    @property
    def prompts_at_once(self) -> int:
        """vLLM schedules them by itself."""
        return 64

    def budget(self) -> TokenBudget:
        """What fits into one request; see `budget_of`."""
        return budget_of(self._model.folder)

    def vram(self) -> VramNeed | None:
        """The weights, and a full context for each prompt at once.

        vLLM takes its share of the GPU whatever it computes; this is what it needs at least.
        """
        return VramNeed(
            fixed_bytes=weight_bytes(self._model.folder),
            item_bytes=cache_bytes_per_token(self._model.folder) * settings().llm_max_model_len,
            most_items=MOST_PROMPTS,
            smaller="set LLM_MAX_MODEL_LEN lower",
        )

    def give(self, items: int) -> None:
        """Compute so many prompts at once."""
        self._most_prompts = items

    def load(self) -> None:
        """Start the process that holds the model; nothing happens when it runs."""
        self._process.start()

    def unload(self) -> None:
        """End the process; all memory is free."""
        self._process.stop()

    def __enter__(self) -> Self:
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        """Answer all prompts, of one task, together; see `LanguageEngine.complete`.

        Raises:
            ValueError: the prompts are of several tasks.
        """
        if len({prompt.task for prompt in prompts}) > 1:
            raise ValueError("prompts of one call must be of one task")
        if not prompts:
            return []

        async def ask(conversations: list[Messages]) -> list[Reply]:
            return await self._ask(conversations, schema)

        budget = await in_thread(self.budget)
        answers = await answered(
            prompts,
            schema,
            model=self._model.name,
            ask=ask,
            takes=lambda messages: budget.takes(*(message["content"] for message in messages)),
        )
        return [answer.model_copy(update={"cost_usd": 0.0}) for answer in answers]

    async def _ask(self, conversations: list[Messages], schema: dict[str, Any] | None) -> list[Reply]:
        cancelled = threading.Event()

        def on_progress(share: float) -> None:
            if cancelled.is_set():
                raise Stopped("the request was cancelled", fix="start the job again; finished steps are kept")

        def call() -> dict[str, Any]:
            self.load()
            return self._process.call({"conversations": conversations, "schema": schema}, on_progress)

        try:
            answer = await in_thread(call)
        finally:
            cancelled.set()
        return [_reply(reply) for reply in answer["replies"]]

    def _config(self) -> dict[str, Any]:
        chosen = settings()
        return {
            "folder": str(self._model.folder),
            "gpu_index": chosen.gpu_index,
            "gpu_memory_utilization": gpu_share(),
            "max_model_len": chosen.llm_max_model_len,
            "quantization": chosen.llm_quantization or None,
            "max_num_seqs": self._most_prompts,
            "max_output_tokens": chosen.llm_max_output_tokens,
        }


def _reply(told: dict[str, Any]) -> Reply:
    usage = Usage(prompt_tokens=told["prompt_tokens"], completion_tokens=told["completion_tokens"])
    return Reply(text=told["text"], usage=usage, cut=told["finish_reason"] == "length")
