"""What went wrong in vLLM, told from its words: it has no types for it, and they differ between versions."""

from dataclasses import dataclass

from blocks.errors import C500Error, EngineFailed, OutOfMemory, Unsupported


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One cause.

    Attributes:
        words: Any of these, in small letters, tells it.
        kind: The error it becomes.
        fix: What a person can do.
    """

    words: tuple[str, ...]
    kind: type[C500Error]
    fix: str


FAULTS = (
    Fault(
        words=("out of memory", "gpu memory utilization", "gpu_memory_utilization"),
        kind=OutOfMemory,
        fix="free the GPU (nvidia-smi shows who uses it), set LLM_MAX_MODEL_LEN lower, or choose a smaller model; "
        "LLM_ENHANCE_GPU_MEMORY_UTILIZATION is the share vLLM may take",
    ),
    Fault(
        words=("derived max_model_len",),
        kind=Unsupported,
        fix="set LLM_MAX_MODEL_LEN no higher than the model's own context",
    ),
    Fault(
        words=("quantization",),
        kind=Unsupported,
        fix="clear LLM_QUANTIZATION (vLLM then goes by the model's files), or choose a model this GPU supports",
    ),
    Fault(
        words=("device type", "no cuda", "cuda driver", "no kernel image", "compute capability"),
        kind=Unsupported,
        fix="check nvidia-smi and GPU_INDEX; vLLM needs an NVIDIA GPU of compute capability 7.0 or later",
    ),
    Fault(
        words=("unexpected keyword",),
        kind=Unsupported,
        fix="install a version of vLLM that C500 was tested with: pip install -U 'c500[gpu]'",
    ),
)
"""In order: the first that fits. Source of the words: vLLM 0.33.0, v1/worker/utils.py, v1/core/kv_cache_planning.py,
config/model.py and config/vllm.py."""


def error_for(what: str, told: str) -> C500Error:
    """The typed error.

    Args:
        what: What did not work, for the message.
        told: All that vLLM said about it; its last line goes into the message.
    """
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    message = f"{what}: {(lines or ['vLLM said nothing'])[-1][:300]}"
    lowered = told.lower()
    for fault in FAULTS:
        if any(word in lowered for word in fault.words):
            return fault.kind(message, fix=fault.fix)
    return EngineFailed(message, fix="c500 models check, then pull the model again; if its files are whole, report it")


def told_by(error: BaseException) -> str:
    """All that an exception and its causes say, the outermost last."""
    said: list[str] = []
    link: BaseException | None = error
    while link is not None and len(said) < 10:
        said.append(f"{type(link).__name__}: {link}")
        link = link.__cause__ or link.__context__
    return "\n".join(" ".join(line.split()) for line in reversed(said))
