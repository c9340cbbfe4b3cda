"""The language engines there are; a new one is a row here and a file beside."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

from blocks.errors import C500Error, Unsupported
from blocks.language.local_model import model_name
from blocks.language.protocol import LanguageEngine, LanguageTask
from blocks.language.vllm_process import vllm_command
from blocks.models.locate import locate
from blocks.settings import settings
from blocks.vram import gpu_count


@dataclass(frozen=True, kw_only=True)
class LanguageEntry:
    """One engine.

    Attributes:
        name: What `--language-engine` takes.
        description: One line for people.
        lacks: What makes it available for all these tasks, None when it is.
        build: Makes the engine for a task; imports nothing heavy before.
        automatic: Whether `auto` may choose it.
    """

    name: str
    description: str
    lacks: Callable[[Sequence[LanguageTask]], str | None]
    build: Callable[[LanguageTask], LanguageEngine]
    automatic: bool = True

    def missing(self, *tasks: LanguageTask) -> str | None:
        """What makes it available for all these tasks, by default for summaries; None when it is."""
        return self.lacks(tasks or ("summarise",))


def _pool(task: LanguageTask) -> LanguageEngine:
    from blocks.language.pool import PoolLanguageEngine

    return PoolLanguageEngine()


def _pool_lacks(tasks: Sequence[LanguageTask]) -> str | None:
    file = settings().accounts_file.expanduser()
    return None if file.is_file() else f"list LLM accounts in {file}; docs/accounts.md shows how"


def _openai(task: LanguageTask) -> LanguageEngine:
    from blocks.language.openai import OpenAILanguageEngine

    return OpenAILanguageEngine()


def _openai_lacks(tasks: Sequence[LanguageTask]) -> str | None:
    return None if settings().openai_language_url else "set OPENAI_LANGUAGE_URL (and its key and model)"


def _vllm(task: LanguageTask) -> LanguageEngine:
    from blocks.language.vllm import VllmEngine

    return VllmEngine(task)


def _vllm_lacks(tasks: Sequence[LanguageTask]) -> str | None:
    return "pip install 'c500[gpu]'" if find_spec("vllm") is None else _gpu_models_lack(tasks)


def _vllm_server(task: LanguageTask) -> LanguageEngine:
    from blocks.language.vllm_server import VllmServerEngine

    return VllmServerEngine(task)


def _vllm_server_lacks(tasks: Sequence[LanguageTask]) -> str | None:
    if vllm_command() is None:
        return "pip install 'c500[gpu]'"
    if len({model_name(task) for task in tasks}) > 1:
        return "a server has one model: set LLM_ENHANCE_MODEL and LLM_SUM_MODEL to the same one, or choose vllm"
    return _gpu_models_lack(tasks)


def _gpu_models_lack(tasks: Sequence[LanguageTask]) -> str | None:
    if not gpu_count():
        return "there is no GPU: choose openai or extractive"
    try:
        for task in tasks:
            locate(model_name(task))
    except C500Error as error:
        return error.fix
    return None


def _extractive(task: LanguageTask) -> LanguageEngine:
    from blocks.language.extractive import ExtractiveEngine

    return ExtractiveEngine()


def _extractive_lacks(tasks: Sequence[LanguageTask]) -> str | None:
    missing = [name for name in ("sumy", "rake_nltk") if find_spec(name) is None]
    return f"pip install {' '.join(missing)}" if missing else None


ENTRIES = (
    LanguageEntry(
        name="openai",
        description="any server with /v1/chat/completions: vLLM, a gateway, a provider",
        lacks=_openai_lacks,
        build=_openai,
    ),
    LanguageEntry(
        name="pool",
        description="the LLM accounts of accounts.yaml, as their limits and budgets allow",
        lacks=_pool_lacks,
        build=_pool,
        automatic=False,  # it costs money: only who asks for it gets it
    ),
    LanguageEntry(
        name="vllm",
        description="a model on the GPU of this machine, loaded for the job",
        lacks=_vllm_lacks,
        build=_vllm,
    ),
    LanguageEntry(
        name="vllm-server",
        description="the same in a server that stays between jobs and stops when idle",
        lacks=_vllm_server_lacks,
        build=_vllm_server,
        automatic=False,
    ),
    LanguageEntry(
        name="extractive",
        description="no model: punctuation by rules, sentences ranked and copied, nothing made up",
        lacks=_extractive_lacks,
        build=_extractive,
    ),
)
"""In order of preference for `auto`."""


def entries() -> tuple[LanguageEntry, ...]:
    """All engines, installed or not."""
    return ENTRIES


def resolve(name: str, *tasks: LanguageTask) -> str:
    """The engine of that name, or with `auto` the first that is there for all these tasks.

    Raises:
        Unsupported: no such engine, or it is not there.
    """
    wanted = settings().language_engine if name == "auto" else name
    if wanted == "auto":
        there = (entry.name for entry in ENTRIES if entry.automatic and entry.missing(*tasks) is None)
        wanted = next(there, ENTRIES[-1].name)
    if (how := _entry(wanted).missing(*tasks)) is not None:
        raise Unsupported(f"language engine {wanted!r} is not there", fix=how, field="language_engine")
    return wanted


def choose(name: str, task: LanguageTask = "summarise") -> LanguageEngine:
    """The engine of that name, or with `auto` the first that is there, for a task.

    Raises:
        Unsupported: no such engine, or it is not there.
    """
    return _entry(resolve(name, task)).build(task)


def _entry(name: str) -> LanguageEntry:
    entry = next((entry for entry in ENTRIES if entry.name == name), None)
    if entry is None:
        known = ", ".join(entry.name for entry in ENTRIES)
        raise Unsupported(
            f"there is no language engine {name!r}", fix=f"choose auto or one of {known}", field="language_engine"
        )
    return entry
