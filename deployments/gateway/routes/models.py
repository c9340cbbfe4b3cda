"""`GET /v1/models`: speech engines in the form of the audio API; with the language models also in OpenAI's."""

import time
from collections.abc import Iterator
from typing import Literal

from litestar import get
from litestar.di import NamedDependency
from litestar.params import FromPath

from blocks.accounts.account import Accounts
from blocks.errors import C500Error, NotFound
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.speech.registry import SpeechEntry, entries
from deployments.gateway.intake.chat import AUTO, TIER_MODELS
from deployments.gateway.llm import LivePool
from deployments.gateway.load import Recent
from deployments.gateway.web.auth import needs

ANY_LANGUAGE = "mul"
"""ISO 639-2 for several languages: what an engine speaks that names none."""

AUTOMATIC = ("auto", "whisper-1")
"""Names for the engine that suits best; the second is the one that OpenAI's clients send."""

FRESH_S = 30.0
STARTED = int(time.time())


class ModelNotFound(NotFound):
    """There is no engine or model of that name."""

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
    """A speech engine or a language model, as OpenAI's API shows it."""

    id: str
    object: Literal["model"] = "model"
    created: int = STARTED
    owned_by: str = "c500"


class Models(Frozen):
    """Both forms in one answer; a client reads the one it knows."""

    models: tuple[Model, ...]
    object: Literal["list"] = "list"
    data: tuple[OpenAIModel, ...]


@get("/v1/models", opt=needs("read"), operation_id="listModels", summary="Speech engines and language models")
async def list_models(live_pool: NamedDependency[LivePool]) -> Models:
    """List the speech engines that the gateway's machine can use; workers on other machines may have others.

    In OpenAI's form with the language models of the account pool.
    """
    return Models(models=await _models.get(), data=tuple((await _openai_models(live_pool)).values()))


@get(
    "/v1/models/{model_id:path}",
    opt=needs("read"),
    operation_id="readModel",
    summary="One speech engine or language model",
)
async def read_model(model_id: FromPath[str], live_pool: NamedDependency[LivePool]) -> OpenAIModel:
    """Read one engine or model, in OpenAI's form."""
    name = model_id.removeprefix("/")
    found = (await _openai_models(live_pool)).get(name)
    if found is None:
        raise ModelNotFound(f"there is no model {name[:64]!r}", fix="choose one of GET /v1/models")
    return found


async def _openai_models(live_pool: LivePool) -> dict[str, OpenAIModel]:
    """All by name; of a name that an engine and a language model share, each endpoint takes its own."""
    engines = (*AUTOMATIC, *(model.id for model in await _models.get()))
    found = {name: OpenAIModel(id=name) for name in engines}
    if (accounts := await live_pool.accounts()) is not None:
        found |= {model.id: model for model in _language_models(accounts) if model.id not in found}
    return found


def _language_models(accounts: Accounts) -> Iterator[OpenAIModel]:
    for name in (AUTO, *TIER_MODELS):
        yield OpenAIModel(id=name)
    for account in accounts.accounts:
        for name in account.models if account.enabled else ():
            yield OpenAIModel(id=name, owned_by=account.provider)


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
