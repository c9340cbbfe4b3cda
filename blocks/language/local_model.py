"""The model that vLLM computes on this machine: which one, how large, with which settings."""

import json
from pathlib import Path
from typing import Any

from blocks.errors import EngineFailed
from blocks.language.protocol import LanguageTask
from blocks.models.located import LocatedModel
from blocks.settings import settings
from blocks.vram import BYTES_PER_GB, Nvml, device_environment

CACHE_BYTES_PER_VALUE = 2
"""Keys and values are kept as 16-bit numbers, whatever the weights are quantised to."""

NO_THINKING = {"enable_thinking": False}
"""For the chat template: models that can think answer at once, within the tokens they may use."""


def model_name(task: LanguageTask) -> str:
    """The setting LLM_ENHANCE_MODEL or LLM_SUM_MODEL."""
    chosen = settings()
    return chosen.llm_enhance_model if task == "enhance" else chosen.llm_sum_model


def output_settings(model: LocatedModel) -> dict[str, Any]:
    """All that changes what vLLM writes, for `EngineInfo.settings`."""
    chosen = settings()
    return {
        "revision": model.revision,
        "sha256": model.sha256,
        "max_model_len": chosen.llm_max_model_len,
        "max_output_tokens": chosen.llm_max_output_tokens,
        "quantization": chosen.llm_quantization or None,
        "temperature": 0,
    }


def environment() -> dict[str, str]:
    """Variables for a process of vLLM: one GPU, numbered as nvidia-smi does, and no usage statistics sent."""
    return device_environment() | {"VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}


def gpu_share() -> float:
    """Of all memory of the GPU: LLM_ENHANCE_GPU_MEMORY_UTILIZATION, but no more than GPU_BUDGET_GB.

    Raises:
        Unsupported: there is a budget, but no such GPU.
    """
    chosen = settings()
    if chosen.gpu_budget_gb is None:
        return chosen.llm_enhance_gpu_memory_utilization
    budget = chosen.gpu_budget_gb * BYTES_PER_GB / Nvml(chosen.gpu_index).total_bytes()
    return round(min(chosen.llm_enhance_gpu_memory_utilization, budget), 4)


def weight_files(folder: Path) -> list[Path]:
    """The files of the weights; where a model has them in both forms, vLLM reads the safetensors."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))


def weight_bytes(folder: Path) -> int:
    """Size of the weights as they lie on disk, which is what they take in memory."""
    return sum(path.stat().st_size for path in weight_files(folder))


def cache_bytes_per_token(folder: Path) -> int:
    """Bytes of keys and values for each token of context, from the model's `config.json`.

    An upper bound: models with sliding windows or compressed caches (MLA) take less.

    Raises:
        EngineFailed: the file is missing, damaged, or of no decoder model.
    """
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        text: dict[str, Any] = config.get("text_config") or config  # models that also see keep it one level down
        heads = int(text["num_attention_heads"])
        width = int(text.get("head_dim") or text["hidden_size"] // heads)
        kept = int(text.get("num_key_value_heads") or heads)
        return 2 * int(text["num_hidden_layers"]) * kept * width * CACHE_BYTES_PER_VALUE
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineFailed(
            f"{path} does not describe a language model: {type(error).__name__}: {error}",
            fix="c500 models check, then pull it again",
        ) from error
