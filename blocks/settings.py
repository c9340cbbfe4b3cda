"""Everything an operator can set, from the environment or a `.env` file."""

from pathlib import Path
from threading import Lock
from typing import Literal

from pydantic import AnyHttpUrl, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from blocks.errors import BadInput

HOME = Path("~/.c500")

HEARTBEAT_S = 30
"""Seconds between two signs of life of a flow run; Prefect allows no less."""


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

    models_dir: Path = Field(
        default=HOME / "models", description="folder of the model weights that `c500 models` keeps"
    )
    models_mirror: str = Field(
        default="", description="where `c500 models pull` fetches instead of the hub: a hub-compatible URL or a folder"
    )
    gpu_index: int = Field(default=0, ge=0, le=63, description="which GPU this process uses")
    gpu_budget_gb: float | None = Field(
        default=None, gt=0, description="GPU memory that models may take, in GB of 10^9 bytes; empty = all of it"
    )
    gpu_lease_s: float = Field(
        default=60, ge=60, le=3600, description="seconds after which the GPU of a holder that died is free again"
    )
    compute_fallback: bool = Field(
        default=True, description="whether a model that runs out of memory may go on in the next smaller number type"
    )
    look_ahead: int = Field(default=8, ge=1, le=64, description="recordings of a batch in hand at once")

    whisper_model_variant: str = Field(
        default="erax-wow-turbo", description="Whisper model: variant, hub name or folder"
    )
    whisper_device: Literal["auto", "cuda", "cpu"] = Field(default="cuda", description="where Whisper computes")
    whisper_compute_type: Literal[
        "auto", "float16", "int8_float16", "int8", "int8_float32", "bfloat16", "int8_bfloat16", "float32"
    ] = Field(default="auto", description="number type Whisper computes in; auto = float16 on a GPU, int8 on a CPU")
    whisper_batch_size: int = Field(
        default=0, ge=0, le=256, description="windows of 30 s computed at once; 0 = as many as the memory holds"
    )
    whisper_beam_size: int = Field(default=5, ge=1, le=20, description="width of the beam search; 1 = greedy")
    whisper_temperatures: str = Field(
        default="0",
        pattern=r"^(0|1|[01]\.\d+)(,(0|1|[01]\.\d+))*$",
        description="comma list of temperatures; a window that comes out repetitive or doubtful is tried at the next",
    )
    whisper_initial_prompt: str = Field(default="", description="text that sets style and spelling for Whisper")
    whisper_word_timestamps: bool = Field(default=True, description="whether Whisper times every word")
    chunkformer_model_name: str = Field(
        default="khanhld/chunkformer-rnnt-large-vie", description="ChunkFormer model: hub name or folder"
    )
    chunkformer_device: Literal["auto", "cuda", "cpu"] = Field(default="cuda", description="where ChunkFormer computes")
    chunkformer_chunk_size: int = Field(default=64, ge=1, le=1024, description="chunk, in frames of 80 ms")
    chunkformer_left_context: int = Field(default=128, ge=0, le=4096, description="left context, in frames of 80 ms")
    chunkformer_right_context: int = Field(default=128, ge=0, le=4096, description="right context, in frames of 80 ms")
    chunkformer_total_batch_duration: int = Field(
        default=1800, ge=10, le=36_000, description="seconds of audio that ChunkFormer computes at once"
    )

    hallucination_guard: bool = Field(
        default=True, description="whether what engines invent in silence or repeat is taken out"
    )
    speaker_model: str = Field(
        default="Wespeaker/wespeaker-voxceleb-resnet34-LM",
        description="speaker-embedding model (ONNX) of `diarise=cluster`: hub name or folder",
    )
    speaker_threshold: float = Field(
        default=0.5, gt=0, lt=2, description="cosine distance above which two voices are two speakers"
    )
    pyannote_model: str = Field(
        default="pyannote/speaker-diarization-community-1", description="model of `diarise=pyannote`: name or folder"
    )

    llm_enhance_model: str = Field(
        default="cpatonn/Qwen3-4B-Instruct-2507-AWQ-4bit", description="model that corrects transcripts"
    )
    llm_sum_model: str = Field(
        default="cpatonn/Qwen3-4B-Instruct-2507-AWQ-4bit", description="model that writes summaries"
    )
    llm_enhance_gpu_memory_utilization: float = Field(
        default=0.9, gt=0, le=1, description="share of the GPU's memory the language model may take"
    )
    llm_max_model_len: int = Field(
        default=16_384, ge=512, le=1_048_576, description="tokens of context the local language model works with"
    )
    llm_max_output_tokens: int = Field(
        default=4096, ge=16, le=131_072, description="most tokens of one answer of the local language model"
    )
    llm_quantization: Literal["", "awq", "awq_marlin", "gptq", "gptq_marlin", "fp8"] = Field(
        default="", description="quantisation of the local language model; empty = as its files say"
    )
    vllm_port: int = Field(default=8178, ge=1024, le=65_535, description="loopback port of the supervised vLLM server")
    vllm_start_timeout_s: float = Field(
        default=600, gt=0, le=3600, description="seconds a vLLM server may take until it is healthy"
    )
    vllm_idle_stop_s: float = Field(
        default=900,
        ge=0,
        description="seconds without a request after which the vLLM server is stopped; 0 = when its job ends",
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
    accounts_file: Path = Field(
        default=HOME / "accounts.yaml", description="the LLM accounts; docs/accounts.md shows the file's form"
    )
    limiter_url: str = Field(
        default="sqlite:///~/.c500/limits.db",
        pattern=r"^(memory://|sqlite:///.+|rediss?://.+)$",
        description="where the limits of LLM accounts are counted: `sqlite:///path` for the processes of one machine, "
        "`redis://…` for several machines, `memory://` for one process",
    )
    books_url: str = Field(
        default="sqlite:///~/.c500/books.db",
        pattern=r"^(sqlite:///.+|postgresql://.+)$",
        description="where LLM calls and their costs are entered: `sqlite:///path` or `postgresql://…`",
    )
    pool_enhance_model: str = Field(
        default="", description="model of accounts.yaml that engine `pool` enhances with; empty = by tier"
    )
    pool_sum_model: str = Field(
        default="", description="model of accounts.yaml that engine `pool` summarises with; empty = by tier"
    )
    embedding_url: AnyHttpUrl | None = Field(
        default=None,
        description="base URL of a server with /embeddings, ending in /v1, for answers to similar requests",
    )
    embedding_api_key: SecretStr | None = Field(default=None, description="its key")
    embedding_model: str = Field(default="", description="the model it is asked for")
    swarm_outage_s: float = Field(
        default=300,
        gt=0,
        le=86_400,
        description="seconds for which a swarm or a batch of prompts goes on while no account answers, before it ends",
    )
    chat_deadline_s: float = Field(
        default=600,
        gt=0,
        le=86_400,
        description="seconds a chat completion of the gateway may take, with its wait for limits; longer waits: 429",
    )
    engine_timeout_s: float = Field(
        default=120, gt=0, le=3600, description="seconds one call of a remote engine may take"
    )

    agents_dir: Path | None = Field(default=None, description="folder of your own agents, a YAML file each")
    agents_home: Path = Field(
        default=HOME / "agents",
        description="folder of the agents' runs, audit, approvals, memory and workspaces; only its owner may read it",
    )
    policy_file: Path | None = Field(
        default=None, description="your own rules for agents, on top of the shipped ones; docs/agents/policy.md"
    )
    agent_profile: str = Field(
        default="development", pattern=r"^[a-z][a-z0-9-]*$", description="autonomy profile when a run names none"
    )
    governor: bool = Field(
        default=False, description="whether a model gives a second opinion on agents' calls; it can only narrow"
    )
    governor_model: str = Field(default="", description="model of accounts.yaml that judges; empty = by tier")
    switches_url: str = Field(
        default="",
        pattern=r"^(|rediss?://.+)$",
        description="Redis that holds the agents' stop switches for several machines, beside the files of AGENTS_HOME",
    )
    agent_servers_file: Path = Field(
        default=HOME / "agent_servers.yaml", description="II-Agent servers that sessions run on; docs/sessions.md"
    )
    databases_file: Path = Field(
        default=HOME / "databases.yaml", description="SQL databases that agents may read; docs/agents/tools.md"
    )
    mcp_file: Path = Field(
        default=HOME / "mcp.yaml", description="MCP servers whose tools agents may use; docs/agents/tools.md"
    )
    prometheus_url: AnyHttpUrl | None = Field(default=None, description="Prometheus that agents may query")
    prometheus_token: SecretStr | None = Field(default=None, description="its bearer token")
    kubeconfig: Path | None = Field(default=None, description="how agents reach Kubernetes; empty = ~/.kube/config")
    kube_context: str = Field(default="", description="context within it; empty = its current one")
    kube_namespaces: str = Field(
        default="", description="comma list of the only namespaces that agents may see; empty = all"
    )
    docker_host: str = Field(
        default="unix:///var/run/docker.sock", min_length=1, description="Docker daemon that agents look after"
    )
    web_private_hosts: str = Field(
        default="",
        description="comma list of private hosts that the agents' web tools may reach; the policy's private_hosts too",
    )
    escalation_file: Path | None = Field(
        default=None, description="who is told of approvals that wait, level by level; docs/agents/approvals.md"
    )
    prefect_form_up_to: Literal["low", "medium", "high", "critical"] = Field(
        default="medium",
        description="highest risk for which an answer in a form of the Prefect UI counts, as it proves nobody's name",
    )
    sandbox_readable: str = Field(
        default="", description="more folders that sandboxed programs may read, joined by `:`, as `/opt/tools`"
    )
    operations_policy_file: Path | None = Field(
        default=None, description="your own rules for operations flows, on top of the shipped ones"
    )
    operations_profile: str = Field(
        default="production", pattern=r"^[a-z][a-z0-9-]*$", description="profile of operations when a run names none"
    )
    operations_channels_file: Path | None = Field(
        default=None, description="where reports of operations go; docs/operations.md"
    )
    inventory_file: Path = Field(
        default=HOME / "inventory.yaml", description="hosts that operations look after; docs/operations.md"
    )
    runbooks_dir: Path = Field(
        default=HOME / "runbooks", description="runbooks, a file NAME.yaml each; docs/operations/runbooks.md"
    )
    services_file: Path = Field(
        default=HOME / "services.yaml",
        description="services: owners, metrics, logs, repositories; docs/operations/incidents.md",
    )
    quality_suites_dir: Path | None = Field(
        default=None, description="folder of your own suites of audits, *.yaml; docs/quality.md"
    )
    report_timezone: str = Field(
        default="", description="time zone of the days of `c500 report`, as Europe/Berlin; empty = TZ, or the machine's"
    )
    # Clean-up: flows clean-logs, clean-audio, clean-cache, clean-all, watch-disk.
    days_to_keep: float = Field(default=7, ge=0, le=36_500, description="days that log files are kept")
    retention_days: float = Field(default=7, ge=0, le=36_500, description="days that audio of jobs is kept")
    # Evidence: flow clean-evidence. Off unless set: what proves and explains is kept until somebody decides otherwise.
    results_days: float | None = Field(
        default=None, ge=1, le=36_500, description="days that jobs and requests are kept, wholly; empty = for good"
    )
    quality_days: float | None = Field(
        default=None,
        ge=1,
        le=36_500,
        description="days that audits, evaluations and reports are kept; empty = for good",
    )
    batch_days: float | None = Field(
        default=None, ge=1, le=36_500, description="days that reports of batches are kept; empty = for good"
    )
    session_days: float | None = Field(
        default=None, ge=1, le=36_500, description="days that archives of sessions are kept; empty = for good"
    )
    ledger_days: float | None = Field(
        default=None,
        ge=35,
        le=36_500,
        description="days that each call keeps a row in the books, before it is summed up by day; empty = for good",
    )
    audit_days: float | None = Field(
        default=None, ge=1, le=36_500, description="days that the agents' audit goes back at least; empty = for good"
    )
    disk_threshold: float = Field(
        default=80, gt=0, le=100, description="per cent of a disk in use above which operators are told"
    )
    emergency_cleanup: bool = Field(
        default=False, description="whether a disk above DISK_THRESHOLD is cleaned at once, without the trash"
    )
    dry_run: bool = Field(default=False, description="whether clean-up only says what it would do")
    skip_cache: bool = Field(default=False, description="whether clean-all leaves the cache alone")
    cleanup_file: Path | None = Field(
        default=None, description="what is cleaned, beyond these settings; docs/operations/cleanup.md"
    )
    trash_days: float = Field(default=30, ge=0, description="days that what agents deleted is kept")
    effects_days: float = Field(
        default=90, ge=1, description="days that outcomes of agents' calls are kept, by which a run goes on"
    )
    redact_vietnamese: bool = Field(
        default=False, description="whether Vietnamese phone and identity numbers are filtered like secrets"
    )

    redis_url: str = Field(
        default="redis://localhost:6379/0", pattern=r"^rediss?://", description="address of Redis, where used"
    )
    api_host: str = Field(
        default="127.0.0.1", min_length=1, description="address the gateway listens on; loopback unless it has keys"
    )
    api_port: int = Field(default=8000, ge=1, le=65_535, description="port the gateway listens on")
    secret_api_key: SecretStr | None = Field(
        default=None, description="an API key with all scopes, at least 32 characters; better: `c500 keys create`"
    )
    service_dir: Path = Field(
        default=HOME / "service", description="folder of the service `c500 up` runs: its database, secret and lock"
    )
    server_postgres_url: SecretStr | None = Field(
        default=None, description="PostgreSQL database of the Prefect server, `postgresql://…`; empty = SQLite"
    )
    server_redis_url: SecretStr | None = Field(
        default=None, description="Redis that carries the Prefect server's messages, `redis://…`; empty = its memory"
    )
    client_idle_s: float = Field(
        default=30, gt=0, le=3600, description="seconds a client may pause while it sends a request's body"
    )
    max_connections: int = Field(
        default=1000,
        ge=16,
        le=100_000,
        description="connections the gateway holds at once, half of them of one address; needs 3 open files for each",
    )
    warm_modules: str = Field(
        # The last three are what the extractive engine imports when it is first used.
        default="flows,blocks.contracts.models,blocks.language.extractive,sumy.summarizers.lex_rank,rake_nltk",
        pattern=r"^[\w.]+(,[\w.]+)*$",
        description="comma list of modules and packages a warm worker loads before its first run",
    )
    warm_runs: int = Field(
        default=1000, ge=1, le=1_000_000, description="runs after which a warm worker loads its code afresh"
    )
    warm_hours: float = Field(
        default=24, gt=0, le=8760, description="hours after which a warm worker loads its code afresh"
    )
    warm_memory_mb: float = Field(
        default=1000,
        gt=0,
        le=1_000_000,
        description="growth of a warm worker's loaded code in memory, in MB of 10^6 bytes, that has it load it afresh",
    )
    pending_timeout_s: float = Field(
        default=450, ge=1, le=86_400, description="seconds a run may take to start before it is put back in the queue"
    )
    max_crash_retries: int = Field(
        default=3, ge=0, le=100, description="how often a job whose process died is run again before it fails"
    )
    crash_retry_delay_s: float = Field(
        default=5, ge=0, le=3600, description="seconds before the second such attempt, doubled for each further one"
    )
    run_retention_days: float = Field(
        default=30, ge=1, le=3650, description="days after its end that the Prefect server of `c500 up` keeps a run"
    )
    notify_webhook_url: SecretStr | None = Field(
        default=None, description="where JSON is posted when a job was given up after crashes; empty = nowhere"
    )
    max_queue_depth: int = Field(
        default=50, ge=1, le=100_000, description="waiting jobs above which new ones are refused"
    )


class _Once:
    """Holds the settings. In `lru_cache` a thread that began to read before a `cache_clear` puts the old ones back."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._found: Settings | None = None

    def __call__(self) -> Settings:
        """The settings of this process, read once.

        Raises:
            BadInput: naming each variable, the value it has and what is allowed.
        """
        if (found := self._found) is not None:
            return found
        with self._lock:
            if self._found is None:
                self._found = _read()
            return self._found

    def cache_clear(self) -> None:
        """Read them anew at the next call: the environment has changed."""
        with self._lock:
            self._found = None


settings = _Once()


def _read() -> Settings:
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
