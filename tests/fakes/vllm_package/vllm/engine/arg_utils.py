"""vllm.engine.arg_utils, 0.33.0: of the 259 fields those that LLM does not name itself and that matter here."""

from dataclasses import dataclass


@dataclass
class EngineArgs:
    max_model_len: int | None = None
    max_num_batched_tokens: int | None = None
    max_num_seqs: int | None = None
    disable_log_stats: bool = False
    enable_prefix_caching: bool | None = None
    served_model_name: str | list[str] | None = None
