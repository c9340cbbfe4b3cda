"""vLLM as a server of this machine: it stays between jobs, and stops when nobody uses it."""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from threading import Event
from typing import Any

from blocks.language.budget import TokenBudget, budget_of
from blocks.language.local_model import NO_THINKING, model_name, output_settings
from blocks.language.openai import OpenAILanguageEngine
from blocks.language.protocol import Completion, LanguageTask, Prompt
from blocks.language.vllm_process import VllmProcess
from blocks.models.locate import locate
from blocks.progress import in_thread
from blocks.settings import settings
from blocks.transcript import EngineInfo


class VllmServerEngine:
    """Chat completions from a supervised `vllm serve`, which all processes of this machine share.

    It serves one model: jobs whose two tasks have different models need the engine `vllm`.

    Args:
        task: What it is for; chooses LLM_ENHANCE_MODEL or LLM_SUM_MODEL.
    """

    def __init__(self, task: LanguageTask) -> None:
        self._model = locate(model_name(task))
        self._server = VllmProcess(self._model)
        self._chat = OpenAILanguageEngine(
            f"{self._server.url}/v1",
            self._model.name,
            more={"max_tokens": settings().llm_max_output_tokens, "chat_template_kwargs": NO_THINKING},
            absent_fix=f"start the job again; {self._server.log} says why the server ended",
        )
        self._unloaded = Event()

    def info(self) -> EngineInfo:
        """Name, version, model and settings, without loading anything."""
        return EngineInfo(
            name="vllm-server", version=_version(), model=self._model.name, settings=output_settings(self._model)
        )

    @property
    def prompts_at_once(self) -> int:
        """As many as the server works on at once."""
        return 16

    def budget(self) -> TokenBudget:
        """What fits into one request; see `budget_of`."""
        return budget_of(self._model.folder)

    def vram(self) -> None:
        """The server takes its memory itself, and keeps it between users."""

    def load(self) -> None:
        """See that the server is ready; see `VllmProcess.ensure`."""
        self._unloaded.clear()
        self._server.ensure(self._unloaded)

    def unload(self) -> None:
        """Leave the server to its idle stop; with VLLM_IDLE_STOP_S 0, stop it if this engine started it."""
        self._unloaded.set()
        if settings().vllm_idle_stop_s == 0:
            self.stop_server()

    def stop_server(self) -> None:
        """Stop the server if this engine started it; its memory is free then."""
        self._server.stop()

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        """Answer all prompts; see `LanguageEngine.complete`."""
        await in_thread(self._server.ensure, self._unloaded)
        answers = await self._chat.complete(prompts, schema)
        return [answer.model_copy(update={"cost_usd": 0.0}) for answer in answers]


def _version() -> str:
    """The installed vLLM's; its command may also stand alone, in an environment of its own."""
    try:
        return version("vllm")
    except PackageNotFoundError:
        return "unknown"
