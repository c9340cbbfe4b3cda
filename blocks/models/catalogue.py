"""The models C500 knows by name: where the hub keeps each, what it is for, which of its files are needed."""

import re
from dataclasses import dataclass

from blocks.errors import BadInput, NotFound
from blocks.settings import settings

ALL_FILES = ("*",)

WHISPER_FILES = ("config.json", "preprocessor_config.json", "model.bin", "tokenizer.json", "vocabulary.*")
"""What faster-whisper loads (faster_whisper.utils.download_model, 1.2.1)."""

WHISPER_VARIANTS = {
    "tiny": "Systran/faster-whisper-tiny",
    "tiny.en": "Systran/faster-whisper-tiny.en",
    "base": "Systran/faster-whisper-base",
    "base.en": "Systran/faster-whisper-base.en",
    "small": "Systran/faster-whisper-small",
    "small.en": "Systran/faster-whisper-small.en",
    "medium": "Systran/faster-whisper-medium",
    "medium.en": "Systran/faster-whisper-medium.en",
    "large-v1": "Systran/faster-whisper-large-v1",
    "large-v2": "Systran/faster-whisper-large-v2",
    "large-v3": "Systran/faster-whisper-large-v3",
    "large": "Systran/faster-whisper-large-v3",
    "large-v3-turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "turbo": "mobiuslabsgmbh/faster-whisper-large-v3-turbo",
    "distil-small.en": "Systran/faster-distil-whisper-small.en",
    "distil-medium.en": "Systran/faster-distil-whisper-medium.en",
    "distil-large-v2": "Systran/faster-distil-whisper-large-v2",
    "distil-large-v3": "Systran/faster-distil-whisper-large-v3",
    "distil-large-v3.5": "distil-whisper/distil-large-v3.5-ct2",
}

HUB_NAME = re.compile(r"(?!.*(--|\.\.))\w[\w.-]{0,95}/\w[\w.-]{0,95}(?<![.-])", re.ASCII)
"""`org/name` as the hub allows it; `--` is refused there too, which keeps our folder names unambiguous."""


@dataclass(frozen=True, kw_only=True)
class CatalogueModel:
    """A model the hub keeps.

    Attributes:
        name: What a person calls it: a short name, or the repository.
        repo: Repository on the hub, `org/name`.
        purpose: What it is for, empty when C500 does not know.
        files: Patterns (as of fnmatch) of the files that are needed.
    """

    name: str
    repo: str
    purpose: str = ""
    files: tuple[str, ...] = ALL_FILES


@dataclass(frozen=True, kw_only=True)
class NamedModel:
    """A model that a setting names.

    Attributes:
        setting: The environment variable.
        name: Its value: short name, hub name or folder.
    """

    setting: str
    name: str


def _hub(repo: str, purpose: str, files: tuple[str, ...] = ALL_FILES) -> CatalogueModel:
    return CatalogueModel(name=repo, repo=repo, purpose=purpose, files=files)


CATALOGUE = (
    *(
        CatalogueModel(name=variant, repo=repo, purpose="speech, Whisper", files=WHISPER_FILES)
        for variant, repo in WHISPER_VARIANTS.items()
    ),
    CatalogueModel(
        name="erax-wow-turbo",
        repo="erax-ai/EraX-WoW-Turbo-V1.1-CT2",
        purpose="speech, Whisper for Vietnamese",
        files=WHISPER_FILES,
    ),
    _hub("khanhld/chunkformer-rnnt-large-vie", "speech, ChunkFormer for Vietnamese"),
    _hub("khanhld/chunkformer-ctc-large-vie", "speech, ChunkFormer for Vietnamese"),
    _hub("khanhld/chunkformer-large-vie", "speech, ChunkFormer for Vietnamese"),
    _hub("cpatonn/Qwen3-4B-Instruct-2507-AWQ-4bit", "language: corrections and summaries"),
    _hub("Wespeaker/wespeaker-voxceleb-resnet34-LM", "speakers, diarise=cluster", ("*.onnx", "config.yaml")),
    _hub("pyannote/speaker-diarization-community-1", "speakers, diarise=pyannote"),
)


def lookup(name: str) -> CatalogueModel:
    """The model of a short name or of a hub name; a hub name outside the table means all its files.

    Raises:
        NotFound: the name is neither.
    """
    for model in CATALOGUE:
        if name in (model.name, model.repo):
            return model
    if HUB_NAME.fullmatch(name):
        return CatalogueModel(name=name, repo=name)
    raise NotFound(
        f"there is no model or folder {name!r}",
        fix="give an existing folder, a name on the hub (org/name) or a short name; see `c500 models list`",
        model=name,
    )


def named_by_settings() -> tuple[NamedModel, ...]:
    """The models that the settings name, in the order of the pipeline; empty settings are left out."""
    now = settings()
    values = {
        "WHISPER_MODEL_VARIANT": now.whisper_model_variant,
        "CHUNKFORMER_MODEL_NAME": now.chunkformer_model_name,
        "SPEAKER_MODEL": now.speaker_model,
        "LLM_ENHANCE_MODEL": now.llm_enhance_model,
        "LLM_SUM_MODEL": now.llm_sum_model,
    }
    return tuple(NamedModel(setting=setting, name=name) for setting, name in values.items() if name)


def settings_that_name(repo: str) -> tuple[str, ...]:
    """The settings whose model lies in this repository."""
    return tuple(named.setting for named in named_by_settings() if _repo(named.name) == repo)


def _repo(name: str) -> str | None:
    try:
        return lookup(name).repo
    except BadInput:
        return None
