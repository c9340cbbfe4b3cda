"""What a client asks for: the fields of the audio API, as options of a job."""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import from_json

from blocks.errors import BadInput, NotFound
from blocks.job import DEFAULT_FEATURES, Diarise, Feature, JobOptions
from blocks.language import registry as language_engines
from blocks.speech import registry as speech_engines
from tasks.llm.template import load_template

T = TypeVar("T", bound=BaseModel)

HEAR_ALL = 0.001
"""Speech probability of `enable_vad=false`: whatever is not plainly silence goes to the engine."""


def listed(value: Any) -> Any:
    """The items of a repeated field, a comma list or a JSON list."""
    values = cast(list[Any], value) if isinstance(value, list) else [value]
    return [item for one in values for item in (_items(one) if isinstance(one, str) else [one])]


def _items(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        return from_json(text)
    return [item.strip() for item in text.split(",") if item.strip()]


Hint = Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]


class Asked(BaseModel):
    """Fields of `POST /v1/process`; those from `language` on are ours.

    Unknown fields are passed over, since older clients send some: the answer names them in `ignored_fields`.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    features: Annotated[tuple[Feature, ...], BeforeValidator(listed)] = Field(
        default=DEFAULT_FEATURES, min_length=1, description="what to make: repeated, a comma list or a JSON list"
    )
    template_id: str | None = Field(default=None, description="summary template; needed with the feature summary")
    asr_backend: str = Field(default="auto", description="speech engine: whisper, chunkformer, … or auto")
    enable_diarization: bool = Field(default=False, description="tell speakers apart by voice; `diarise` says more")
    enable_vad: bool = Field(default=True, description="pass over what is no speech")
    vad_threshold: float | None = Field(
        default=None, ge=0, le=1, description="speech probability above which a window is speech"
    )
    language: str | None = Field(
        default=None, pattern="^[a-z]{2,3}$", description="ISO 639-1 code of the language spoken"
    )
    language_engine: str = Field(default="auto", description="engine that enhances and summarises, or auto")
    diarise: Diarise | None = Field(default=None, description="how speakers are told apart")
    speakers: int | None = Field(default=None, ge=1, le=20, description="number of speakers, when known")
    guard: bool | None = Field(default=None, description="whether what engines invent is taken out")
    hints: Annotated[tuple[Hint, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=500, description="names and terms likely to occur: a list as for features"
    )

    @field_validator("asr_backend")
    @classmethod
    def _known_speech_engine(cls, name: str) -> str:
        # Whether it is installed is for the worker to say, which may be another machine.
        return _one_of(name, [entry.name for entry in speech_engines.entries()])

    @field_validator("language_engine")
    @classmethod
    def _known_language_engine(cls, name: str) -> str:
        return _one_of(name, [entry.name for entry in language_engines.entries()])

    def options(self) -> JobOptions:
        """As options of a job; what was left out is left to the worker's settings.

        Raises:
            BadInput: a summary without a template, or with one that does not exist.
        """
        chosen: dict[str, Any] = {
            "features": tuple(one for one in get_args(Feature) if one in self.features),
            "engine": self.asr_backend,
            "language_engine": self.language_engine,
            "language": self.language,
            "diarise": self.diarise or ("cluster" if self.enable_diarization else "none"),
            "speakers": self.speakers,
            "hints": self.hints,
        }
        if "summary" in self.features:
            chosen["template"] = _existing_template(self.template_id)
        if self.guard is not None:
            chosen["guard"] = self.guard
        if not self.enable_vad:
            chosen["vad_threshold"] = HEAR_ALL
        elif self.vad_threshold is not None:
            chosen["vad_threshold"] = min(max(self.vad_threshold, HEAR_ALL), 1 - HEAR_ALL)
        return JobOptions(**chosen)


class TextAsked(Asked):
    """Body of `POST /v1/process_text`."""

    text: str = Field(min_length=1, description="the text, one utterance or paragraph a line")
    features: Annotated[tuple[Feature, ...], BeforeValidator(listed)] = Field(default=("summary",), min_length=1)


LISTS = ("features", "hints")


def read_form(fields: Mapping[str, list[str]]) -> tuple[Asked, list[str]]:
    """What a form asks for, and the names of the fields nobody reads.

    Of a field that is given several times the last value counts, except for lists; an empty one is not given.

    Raises:
        BadInput: naming each wrong field.
    """
    given = {name: [value for value in values if value.strip()] for name, values in fields.items()}
    values = {name: values if name in LISTS else values[-1].strip() for name, values in given.items() if values}
    return read_fields(Asked, values), unread(Asked, fields)


def read_fields(model: type[T], values: Any) -> T:
    """The values as the model. Raises `BadInput` that names each wrong field, never a long value."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        faults = [{"field": ".".join(map(str, one["loc"])), "fault": one["msg"]} for one in error.errors()]
        said = "; ".join(f"{one['field']}: {one['fault']}" for one in faults[:10])
        raise BadInput(said, fix="correct the fields named", field=faults[0]["field"], faults=faults[:50]) from None


def unread(model: type[BaseModel], names: Mapping[str, Any]) -> list[str]:
    """The names that are no field of the model."""
    return sorted(name[:64] for name in names if name not in model.model_fields)


def _one_of(name: str, known: list[str]) -> str:
    if name.lower() not in ("auto", *known):
        raise ValueError(f"there is no engine of that name: choose auto, {', '.join(known)}")
    return name.lower()


def _existing_template(name: str | None) -> str:
    if not name:
        raise BadInput(
            "template_id is needed with the feature summary",
            fix="give the id of a template from GET /v1/templates, or leave summary out of features",
            field="template_id",
        )
    try:
        return load_template(name).name
    except NotFound as error:
        raise BadInput(
            f"there is no template {name[:64]!r}", fix="choose one of GET /v1/templates", field="template_id"
        ) from error
