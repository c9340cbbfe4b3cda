"""Everything an operator can set, from the environment or a `.env` file."""

from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from blocks.errors import BadInput

HOME = Path("~/.c500")


class Settings(BaseSettings):
    """All settings; a field's name in capitals is its environment variable."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        extra="ignore",
        case_sensitive=False,
        frozen=True,
        validate_default=False,
    )

    audio_dir: Path = Field(
        default=HOME / "audio", description="folder of the local store: jobs, their audio and results"
    )
    log_dir: Path = Field(default=HOME / "logs", description="folder of the JSON log files")
    store_url: str = Field(
        default="",
        pattern=r"^(|s3://[^/]+(/.*)?|block:c500-(local|s3)-store/.+)$",
        description="where jobs are kept instead of AUDIO_DIR: `s3://bucket/prefix` or `block:c500-s3-store/name`",
    )
    s3_endpoint_url: AnyHttpUrl | None = Field(default=None, description="address of an S3 server that is not Amazon's")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="least level that is logged"
    )

    max_file_size_mb: float = Field(
        default=500, gt=0, le=100_000, description="largest recording taken, in MB of 10^6 bytes"
    )
    max_duration_s: float = Field(
        default=6 * 3600, gt=0, le=7 * 86_400, description="longest recording taken, in seconds"
    )
    allow_private_sources: bool = Field(
        default=False, description="whether http(s) sources may lead to private or loopback addresses"
    )
    result_ttl: int = Field(default=86_400, ge=60, description="seconds a finished job's result is kept at least")
    job_timeout: int = Field(
        default=600, ge=1, le=86_400, description="seconds a job may take on top of the length of its audio"
    )

    speech_engine: str = Field(
        default="auto", description="speech engine when a job names none: `auto` or an engine's name"
    )
    language_engine: str = Field(
        default="auto", description="language engine when a job names none: `auto` or an engine's name"
    )
    vad_threshold: float = Field(
        default=0.5, gt=0, lt=1, description="speech probability above which a window is speech"
    )
    loudness_lufs: float | None = Field(
        default=None,
        ge=-70,
        le=-5,
        description="loudness audio is brought to, in LUFS (EBU R128: -23); empty = off",
    )

    whisper_model_variant: str = Field(
        default="erax-wow-turbo", description="Whisper model: variant, hub name or folder"
    )
    whisper_device: Literal["auto", "cuda", "cpu"] = Field(default="cuda", description="where Whisper computes")
    whisper_compute_type: Literal["float16", "int8_float16", "int8", "int8_float32", "bfloat16", "float32"] = Field(
        default="float16", description="number type Whisper computes in"
    )
    chunkformer_model_name: str = Field(
        default="khanhld/chunkformer-rnnt-large-vie", description="ChunkFormer model: hub name or folder"
    )

    llm_enhance_model: str = Field(
        default="data/models/qwen3-4b-instruct-2507-awq", description="model that corrects transcripts"
    )
    llm_sum_model: str = Field(
        default="cpatonn/Qwen3-4B-Instruct-2507-AWQ-4bit", description="model that writes summaries"
    )
    llm_enhance_gpu_memory_utilization: float = Field(
        default=0.9, gt=0, le=1, description="share of the GPU's memory the language model may take"
    )
    llm_templates_dir: Path | None = Field(
        default=None, description="folder of your own summary templates, one folder each"
    )
    enhance_max_edit_rate: float = Field(
        default=0.35,
        ge=0,
        le=1,
        description="share of changed words above which an enhanced window falls back to the raw one",
    )

    openai_speech_url: AnyHttpUrl | None = Field(
        default=None, description="base URL of a server with /audio/transcriptions, ending in /v1"
    )
    openai_speech_api_key: SecretStr | None = Field(default=None, description="its key")
    openai_speech_model: str = Field(default="whisper-1", description="the model it is asked for")
    openai_language_url: AnyHttpUrl | None = Field(
        default=None, description="base URL of a server with /chat/completions, ending in /v1"
    )
    openai_language_api_key: SecretStr | None = Field(default=None, description="its key")
    openai_language_model: str = Field(default="", description="the model it is asked for; empty = LLM_SUM_MODEL")
    engine_timeout_s: float = Field(
        default=120, gt=0, le=3600, description="seconds one call of a remote engine may take"
    )

    redis_url: str = Field(
        default="redis://localhost:6379/0", pattern=r"^rediss?://", description="address of Redis, where used"
    )
    max_queue_depth: int = Field(
        default=50, ge=1, le=100_000, description="waiting jobs above which new ones are refused"
    )


@lru_cache(maxsize=1)
def settings() -> Settings:
    """The settings of this process, read once.

    Raises:
        BadInput: naming each variable, the value it has and what is allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        raise BadInput(_explain(error), fix="correct the environment variable or the line in .env") from None


def _explain(error: ValidationError) -> str:
    """One line for all wrong settings; never the value of a secret."""
    lines: list[str] = []
    for fault in error.errors():
        name = str(fault["loc"][0])
        field = Settings.model_fields.get(name.lower())
        secret = field is not None and "Secret" in str(field.annotation)
        value = "…" if secret else repr(fault["input"])
        lines.append(f"{name.upper()} is {value}: {fault['msg']}")
    return "; ".join(lines)
