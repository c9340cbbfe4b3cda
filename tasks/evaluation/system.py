"""What is evaluated: this system with some options, or outputs that another one gave."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from blocks.environment import variables
from blocks.errors import BadInput
from blocks.job import DEFAULT_FEATURES, JobOptions
from blocks.model import Frozen
from blocks.settings import Settings, settings
from blocks.yaml_file import read_yaml
from tasks.evaluation.case import Case

SETTINGS = (
    *("whisper_", "chunkformer_", "llm_", "openai_speech_", "openai_language_", "pool_", "speaker_", "pyannote_"),
    *(
        "enhance_",
        "hallucination_",
        "vad_",
        "loudness_",
        "vllm_",
        "engine_",
        "compute_",
        "speech_engine",
        "language_engine",
    ),
)
"""What the names of settings begin with that change outputs; all others, as those of the store, stay as they are."""

NOT_SETTINGS = ("api_key",)
"""Keys are not written into a configuration, which lies in the store."""

TEXT_TEMPLATE = "generic_summary"
FIX = "give fields of JobOptions, as engine=whisper, or settings, as WHISPER_BEAM_SIZE=1; see docs/evaluation.md"
LISTS = ("hints", "features")


class System(Frozen):
    """A configuration, or a file of outputs.

    Attributes:
        name: What reports call it; by default what it consists of.
        options: Fields of JobOptions that are given; for those that are not, a case's own language and template hold.
        settings: Settings of the engines while it is evaluated, by the names of their environment variables.
        text: Which text is held against the reference: as the speech engine gave it (`raw`), or `enhanced`.
        hypotheses: File of outputs that are given; then nothing is run.
    """

    name: str = ""
    options: dict[str, Any] = Field(default_factory=dict)
    settings: dict[str, str] = Field(default_factory=dict)
    text: Literal["raw", "enhanced"] = "raw"
    hypotheses: str | None = None

    @field_validator("options")
    @classmethod
    def _are_options(cls, given: dict[str, Any]) -> dict[str, Any]:
        JobOptions.model_validate(given)
        return given

    @field_validator("settings")
    @classmethod
    def _are_settings_of_engines(cls, given: dict[str, str]) -> dict[str, str]:
        for name in given:
            known = name.lower() in Settings.model_fields and name.lower().startswith(SETTINGS)
            if not known or name.lower().endswith(NOT_SETTINGS):
                raise ValueError(f"{name} is no setting of an engine that may differ")
        return given

    @property
    def label(self) -> str:
        """Its name for people."""
        if self.name or self.hypotheses:
            return self.name or Path(self.hypotheses or "").name
        given = {**self.options, **self.settings, **({} if self.text == "raw" else {"text": self.text})}
        return ", ".join(f"{name}={_shown(value)}" for name, value in given.items()) or "as set up"

    def options_for(self, case: Case) -> JobOptions:
        """What a case is processed with: no more than what is measured of it, unless features are asked for."""
        chosen: dict[str, Any] = {}
        if case.text is not None:
            chosen["template"] = TEXT_TEMPLATE
        if not case.wants_summary:
            chosen["features"] = ("raw_transcript",) if self.text == "raw" else ("clean_transcript",)
        else:
            chosen["features"] = DEFAULT_FEATURES
        for name in ("language", "template"):
            if getattr(case, name) is not None:
                chosen[name] = getattr(case, name)
        return JobOptions.model_validate({**chosen, **self.options})


def read_system(given: str, name: str = "") -> System:
    """A system of what an option says.

    Args:
        given: `NAME=VALUE,…` with options and settings; a YAML file of them; or a file of outputs.
        name: What reports call it.

    Raises:
        NotFound, BadInput: it cannot be used; the error says where.
    """
    path = Path(given).expanduser()
    if path.suffix.lower() in (".jsonl", ".ndjson", ".csv", ".tsv"):
        return System(name=name, hypotheses=str(path.absolute()))
    if path.suffix.lower() in (".yaml", ".yml"):
        read = read_yaml(path, fix=FIX, field="against").read_as(TypeAdapter(System))
        beside = None if read.hypotheses is None else str((path.parent / read.hypotheses).absolute())
        return read.model_copy(update={"name": name or read.name or path.stem, "hypotheses": beside})
    return system_of(_pairs(given), name)


def system_of(given: Mapping[str, str], name: str = "") -> System:
    """A system of options and settings by name; those in capitals are settings.

    Raises:
        BadInput: there is no such option, or its value is not to be had.
    """
    options = {key: _value(key, value) for key, value in given.items() if not key.isupper() and key != "text"}
    overridden = {key: value for key, value in given.items() if key.isupper()}
    text: Any = given.get("text", "raw")
    try:
        return System(name=name, options=options, settings=overridden, text=text)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in fault["loc"])
        raise BadInput(f"{where}: {fault['msg'].removeprefix('Value error, ')}", fix=FIX, field=where) from None


@contextmanager
def in_force(overridden: Mapping[str, str]) -> Generator[None]:
    """Within, these settings hold, for processes that are started too. For all of this process: one at a time.

    Raises:
        BadInput: a value is not to be had.
    """
    if not overridden:
        yield
        return
    try:
        with variables(overridden):
            settings.cache_clear()
            settings()
            yield
    finally:
        settings.cache_clear()


def _pairs(given: str) -> dict[str, str]:
    """`a=b,c=d`; a comma within a value stands where no name follows, as in hints=Huế,Đà Nẵng."""
    found: dict[str, str] = {}
    last = ""
    for part in given.split(","):
        name, sign, value = part.partition("=")
        if sign:
            last = name.strip()
            found[last] = value.strip()
        elif last:
            found[last] += f",{part}"
        else:
            raise BadInput(f"{given!r:.100} is neither options nor a file", fix=FIX, field="against")
    return found


def _value(name: str, value: str) -> Any:
    if name in LISTS:
        return [part.strip() for part in value.split(",") if part.strip()]
    return None if value.lower() in ("none", "null") and name in ("language", "speakers", "loudness_lufs") else value


def _shown(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
