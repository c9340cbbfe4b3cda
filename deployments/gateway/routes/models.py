"""`GET /v1/models`: the speech engines that are there, in the form of the audio API and in OpenAI's."""

import time
from collections.abc import Iterator
from typing import Literal

from litestar import get

from blocks.errors import C500Error, NotFound
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.speech.registry import SpeechEntry, entries
from deployments.gateway.load import Recent
from deployments.gateway.web.auth import needs

ANY_LANGUAGE = "mul"
"""ISO 639-2 for several languages: what an engine speaks that names none."""

AUTOMATIC = ("auto", "whisper-1")
"""Names for the engine that suits best; the second is the one that OpenAI's clients send."""

FRESH_S = 30.0
STARTED = int(time.time())


class ModelNotFound(NotFound):
    """There is no engine of that name."""

    code = "MODEL_NOT_FOUND"


class Model(Frozen):
    """A speech engine, as the audio API shows it."""

    id: str
    name: str
    description: str
    type: Literal["ASR"] = "ASR"
    version: str
    supported_languages: tuple[str, ...]


class OpenAIModel(Frozen):
    """A speech engine, as OpenAI's API shows it."""

    id: str
    object: Literal["model"] = "model"
    created: int = STARTED
    owned_by: str = "c500"


class Models(Frozen):
    """Both forms in one answer; a client reads the one it knows."""

    models: tuple[Model, ...]
    object: Literal["list"] = "list"
    data: tuple[OpenAIModel, ...]


@get("/v1/models", opt=needs("read"), operation_id="listModels", summary="Speech engines that are there")
async def list_models() -> Models:
    """List the speech engines that the gateway's machine can use; workers on other machines may have others."""
    models = await _models.get()
    names = (*AUTOMATIC, *(model.id for model in models))
    return Models(models=models, data=tuple(OpenAIModel(id=name) for name in names))


@get("/v1/models/{model_id:str}", opt=needs("read"), operation_id="readModel", summary="One speech engine")
async def read_model(model_id: str) -> OpenAIModel:
    """Read one engine, in OpenAI's form."""
    if model_id not in (*AUTOMATIC, *(model.id for model in await _models.get())):
        raise ModelNotFound(f"there is no model {model_id[:64]!r}", fix="choose one of GET /v1/models")
    return OpenAIModel(id=model_id)


async def _read() -> tuple[Model, ...]:
    return await in_thread(lambda: tuple(_there()))


def _there() -> Iterator[Model]:
    for entry in entries():
        if entry.missing() is None:
            try:
                yield _model(entry)
            except C500Error:  # its files went since we looked
                continue


def _model(entry: SpeechEntry) -> Model:
    engine = entry.build().info()
    return Model(
        id=entry.name,
        name=entry.name,
        description=entry.description,
        version=engine.version,
        supported_languages=tuple(sorted(entry.languages or {ANY_LANGUAGE})),
    )


_models = Recent(_read, FRESH_S)

handlers = [list_models, read_model]
