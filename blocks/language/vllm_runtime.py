"""vLLM in the process that holds it: whatever is asked at the same time is computed together."""

import inspect
import os
import re
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from blocks.errors import EngineFailed, NotFound, Unsupported
from blocks.inference.runtime import Unit
from blocks.language.budget import TEMPLATE_TOKENS, max_input_tokens, token_counter
from blocks.language.local_model import NO_THINKING, weight_files
from blocks.language.repair import Messages
from blocks.language.vllm_faults import error_for, told_by

LEAST_VERSION = (0, 12)
"""First version with `structured_outputs` alone; before it there was `guided_decoding`."""

MOST_UNITS = 1024
"""Prompts handed to vLLM at once; it schedules them itself."""


class VllmRuntime:
    """vLLM's offline engine; see `blocks.inference.runtime.Runtime`.

    Args:
        folder: The model in the form of the hub.
        gpu_index: For messages; the environment makes it the only GPU there is.
        gpu_memory_utilization: Share of the GPU's memory that vLLM takes.
        max_model_len: Tokens of prompt and answer together.
        quantization: None to go by the model's files.
        max_num_seqs: Prompts computed at once.
        max_output_tokens: Most tokens of an answer.
    """

    def __init__(
        self,
        *,
        folder: str,
        gpu_index: int,
        gpu_memory_utilization: float,
        max_model_len: int,
        quantization: str | None,
        max_num_seqs: int,
        max_output_tokens: int,
    ) -> None:
        self._folder = Path(folder)
        self._gpu_index = gpu_index
        self._max_model_len = max_model_len
        self._max_output_tokens = max_output_tokens
        self._max_input_tokens = max_input_tokens(max_model_len, max_output_tokens)
        self._engine_arguments: dict[str, Any] = {
            "model": folder,
            "gpu_memory_utilization": gpu_memory_utilization,
            "max_model_len": max_model_len,
            "quantization": quantization,
            "max_num_seqs": max_num_seqs,
            "seed": 0,
            "enforce_eager": False,
            "trust_remote_code": False,
        }

    def load(self) -> dict[str, Any]:
        """Load the model, after seeing that its files and a vLLM that fits are there."""
        if not (self._folder / "config.json").is_file() or not weight_files(self._folder):
            raise NotFound(
                f"{self._folder} holds no config.json or no weights", fix="c500 models check, then pull it again"
            )
        self._count = token_counter(self._folder)
        os.environ.pop("VLLM_PORT", None)  # vLLM takes our server's port for the first of its internal ones
        self._vllm = _package()
        self._parameters = import_module("vllm.sampling_params")
        _check(self._vllm.LLM, self._engine_arguments)
        _check(self._vllm.LLM.chat, self._chat_arguments([], []))
        _check(self._vllm.SamplingParams, self._sampling_arguments({}))
        try:
            self._llm = self._vllm.LLM(**self._engine_arguments)
        except Exception as error:  # vLLM raises whatever its parts raise
            what = f"vLLM cannot load {self._folder} on GPU {self._gpu_index}"
            raise error_for(what, told_by(error)) from error
        return {"version": self._vllm.__version__}

    def split(self, request: dict[str, Any]) -> list[Unit]:
        """One unit a conversation.

        Raises:
            EngineFailed: a conversation leaves no room for its answer.
        """
        for messages in request["conversations"]:
            self._check_length(messages)
        return [Unit(payload=(messages, request["schema"])) for messages in request["conversations"]]

    def fits(self, batch: Sequence[Unit], unit: Unit) -> bool:
        """As many as there are: vLLM schedules by itself."""
        return len(batch) < MOST_UNITS

    def shrink(self) -> bool:
        """vLLM takes its memory when it loads."""
        return False

    def run(self, batch: Sequence[Unit]) -> list[Any]:
        """The answer to each conversation."""
        conversations = [messages for messages, _ in (unit.payload for unit in batch)]
        try:
            parameters = [
                self._vllm.SamplingParams(**self._sampling_arguments(schema))
                for _, schema in (unit.payload for unit in batch)
            ]
            outputs = self._llm.chat(**self._chat_arguments(conversations, parameters))
        except Exception as error:  # vLLM raises whatever its parts raise
            raise error_for("vLLM failed", told_by(error)) from error
        return [_outcome(output) for output in outputs]

    def answer(self, request: dict[str, Any], outcomes: list[Any]) -> dict[str, Any]:
        """All answers in order."""
        return {"replies": outcomes}

    def _check_length(self, messages: Messages) -> None:
        tokens = sum(self._count(message["content"]) for message in messages)
        if tokens > self._max_input_tokens:
            raise EngineFailed(
                f"the prompt has {tokens} tokens, {self._max_input_tokens} fit: LLM_MAX_MODEL_LEN "
                f"{self._max_model_len}, less LLM_MAX_OUTPUT_TOKENS {self._max_output_tokens} for the answer and "
                f"{TEMPLATE_TOKENS} for the chat template",
                fix="set LLM_MAX_MODEL_LEN higher or LLM_MAX_OUTPUT_TOKENS lower, or give a shorter text",
            )

    def _sampling_arguments(self, schema: dict[str, Any] | None) -> dict[str, Any]:
        structure = None if schema is None else self._parameters.StructuredOutputsParams(json=schema)
        return {"temperature": 0, "max_tokens": self._max_output_tokens, "structured_outputs": structure}

    def _chat_arguments(self, conversations: Sequence[Messages], parameters: Sequence[Any]) -> dict[str, Any]:
        return {
            "messages": conversations,
            "sampling_params": parameters,
            "use_tqdm": False,
            "chat_template_kwargs": NO_THINKING,
        }


def _package() -> Any:
    """The `vllm` package, if it is new enough."""
    try:
        package: Any = import_module("vllm")
        installed = str(package.__version__)
        _ = package.LLM  # imported only now
    except (ImportError, OSError) as error:
        raise Unsupported(f"vLLM cannot be imported: {error}", fix="pip install 'c500[gpu]'") from error
    if tuple(int(part) for part in re.findall(r"\d+", installed)[:2]) < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        raise Unsupported(f"vLLM {installed} is too old: {least} is needed", fix=f"pip install -U 'vllm>={least}'")
    return package


def _check(called: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """See that it takes what we pass.

    Raises:
        Unsupported: this version of vLLM does not.
    """
    parameters = inspect.signature(called).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return
    if unknown := sorted(set(arguments) - set(parameters)):
        raise Unsupported(
            f"{called.__qualname__} of the installed vLLM does not take {', '.join(unknown)}",
            fix="install a version of vLLM that C500 was tested with: pip install -U 'c500[gpu]'",
        )


def _outcome(output: Any) -> dict[str, Any]:
    made = output.outputs[0]
    return {
        "text": made.text,
        "prompt_tokens": len(output.prompt_token_ids or ()),
        "completion_tokens": len(made.token_ids),
        "finish_reason": made.finish_reason,
    }
