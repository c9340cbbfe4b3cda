"""vllm.entrypoints.llm, 0.33.0: LLM with the parameters it has there."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from tests.fakes.llm.answers import content_for
from vllm.control import behaviour, note, wait_at
from vllm.engine.arg_utils import EngineArgs
from vllm.sampling_params import SamplingParams

KNOWN_QUANTIZATION = ("awq", "awq_marlin", "gptq", "gptq_marlin", "fp8", "compressed-tensors")


@dataclass
class CompletionOutput:
    index: int
    text: str
    token_ids: Sequence[int]
    finish_reason: str | None = None


@dataclass
class RequestOutput:
    request_id: str
    prompt_token_ids: list[int] | None
    outputs: list[CompletionOutput]


class LLM:
    def __init__(
        self,
        model: str,
        *,
        runner: str = "auto",
        convert: str = "auto",
        tokenizer: str | None = None,
        tokenizer_mode: str = "auto",
        skip_tokenizer_init: bool = False,
        trust_remote_code: bool = False,
        allowed_local_media_path: str = "",
        allowed_media_domains: list[str] | None = None,
        tensor_parallel_size: int = 1,
        dtype: str = "auto",
        quantization: str | None = None,
        revision: str | None = None,
        tokenizer_revision: str | None = None,
        chat_template: Path | str | None = None,
        seed: int = 0,
        gpu_memory_utilization: float = 0.92,
        cpu_offload_gb: float = 0,
        offload_group_size: int = 0,
        offload_num_in_group: int = 1,
        offload_prefetch_step: int = 1,
        offload_params: set[str] | None = None,
        enforce_eager: bool = False,
        enable_return_routed_experts: bool = False,
        return_sampling_mask: bool = False,
        disable_custom_all_reduce: bool = False,
        hf_token: bool | str | None = None,
        hf_overrides: Any = None,
        mm_processor_kwargs: dict[str, Any] | None = None,
        pooler_config: Any = None,
        structured_outputs_config: Any = None,
        profiler_config: Any = None,
        attention_config: Any = None,
        kv_cache_memory_bytes: int | None = None,
        compilation_config: Any = None,
        quantization_config: Any = None,
        logits_processors: Any = None,
        spec_method: str | None = None,
        spec_model: str | None = None,
        spec_tokens: int | None = None,
        **kwargs: Any,
    ) -> None:
        engine = EngineArgs(**kwargs)
        note(loaded=model, max_num_seqs=engine.max_num_seqs, max_model_len=engine.max_model_len, seed=seed)
        wait_at("load_gate")
        if said := behaviour().get("load_error"):
            raise RuntimeError(said)
        if quantization is not None and quantization not in KNOWN_QUANTIZATION:
            raise ValueError(f"Unknown quantization method: {quantization}. Must be one of {KNOWN_QUANTIZATION}.")
        self._tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        self._tokenizer.no_truncation()

    def chat(
        self,
        messages: Sequence[Any],
        sampling_params: SamplingParams | Sequence[SamplingParams] | None = None,
        use_tqdm: bool | Callable[..., Any] = True,
        lora_request: Any = None,
        priority: int | Sequence[int] | None = None,
        chat_template: str | None = None,
        chat_template_content_format: str = "auto",
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: list[dict[str, Any]] | None = None,
        chat_template_kwargs: dict[str, Any] | None = None,
        tokenization_kwargs: dict[str, Any] | None = None,
        mm_processor_kwargs: dict[str, Any] | None = None,
    ) -> list[RequestOutput]:
        assert isinstance(sampling_params, list) and len(sampling_params) == len(messages)
        note(chat=[len(talk) for talk in messages], temperature=[one.temperature for one in sampling_params])
        wait_at("chat_gate")
        for talk in messages:
            for refused in behaviour().get("refuses", []):
                if refused in talk[1]["content"]:
                    raise ValueError(f"the grammar of {refused} cannot be compiled")
        if said := behaviour().get("chat_error"):
            raise RuntimeError(said)
        return [
            self._answer(str(number), talk, one)
            for number, (talk, one) in enumerate(zip(messages, sampling_params, strict=True))
        ]

    def _answer(self, number: str, talk: list[dict[str, str]], one: SamplingParams) -> RequestOutput:
        told = behaviour()
        body: dict[str, Any] = {"messages": talk}
        if one.structured_outputs is not None:
            form = {"schema": one.structured_outputs.json}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        text = content_for(body)
        if told.get("wrong") == "always" or (told.get("wrong") == "once" and len(talk) == 2):
            text = json.dumps({"unexpected": True})
        reason, ids = "stop", self._tokenizer.encode(text).ids
        if told.get("cut"):
            text, reason, ids = text[: len(text) // 2], "length", [0] * (one.max_tokens or 16)
        asked = [token for message in talk for token in self._tokenizer.encode(message["content"]).ids]
        return RequestOutput(number, asked, [CompletionOutput(0, text, ids, reason)])
