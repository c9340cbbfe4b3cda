"""Any OpenAI-compatible chat server as a language engine."""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blocks.errors import EngineFailed, EngineUnavailable
from blocks.http import wait_asked_s
from blocks.language.protocol import Completion, Prompt, Usage
from blocks.language.repair import Messages, Reply, answered
from blocks.settings import settings
from blocks.transcript import EngineInfo

if TYPE_CHECKING:
    import httpx

CONCURRENT_CALLS = 4
FORMATS = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, best first; a server that refuses one is asked the next way."""


class OpenAILanguageEngine:
    """Chat completions over HTTP, with structured output where the server can, and one repair round.

    Args:
        url: Base URL of a server of ours, ending in /v1; it gets no key. By default server, key and model are the
            settings OPENAI_LANGUAGE_URL, …_API_KEY and …_MODEL.
        model: The model that server is asked for.
        more: Further fields of every request.
        absent_fix: What to do when the server cannot be reached.
    """

    def __init__(
        self,
        url: str | None = None,
        model: str | None = None,
        *,
        more: dict[str, Any] | None = None,
        absent_fix: str = "start it, or correct OPENAI_LANGUAGE_URL",
    ) -> None:
        chosen = settings()
        self._url = (url or str(chosen.openai_language_url)).rstrip("/")
        self._key = None if url else chosen.openai_language_api_key
        model = model or chosen.openai_language_model
        self._models = {"enhance": model or chosen.llm_enhance_model, "summarise": model or chosen.llm_sum_model}
        self._more = more or {}
        self._absent_fix = absent_fix
        self._timeout_s = chosen.engine_timeout_s
        self._format = 0

    def info(self) -> EngineInfo:
        """Name, protocol version, models and server."""
        return EngineInfo(
            name="openai",
            version="v1",
            model=self._models["summarise"],
            settings={"url": self._url, "enhance_model": self._models["enhance"], "temperature": 0},
        )

    @property
    def prompts_at_once(self) -> int:
        """A server with batching answers several in little more time than one."""
        return 4

    def budget(self) -> None:
        """The server knows; it refuses what is too long."""

    def load(self) -> None:
        """The server has loaded its model."""

    def unload(self) -> None:
        """The server keeps its model."""

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        """Answer all prompts, a few at a time; see `LanguageEngine.complete`."""
        import httpx

        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"} if self._key else {}
        slots = asyncio.Semaphore(CONCURRENT_CALLS)
        async with httpx.AsyncClient(headers=headers, timeout=self._timeout_s, trust_env=False) as client:

            async def answer(prompt: Prompt) -> Completion:
                async with slots:
                    return await self._answer(client, prompt, schema)

            async with asyncio.TaskGroup() as group:
                running = [group.create_task(_unwrapped(answer(prompt))) for prompt in prompts]
        return [_or_raise(task.result()) for task in running]

    async def _answer(self, client: "httpx.AsyncClient", prompt: Prompt, schema: dict[str, Any] | None) -> Completion:
        model = self._models[prompt.task]

        async def ask(conversations: list[Messages]) -> list[Reply]:
            return [await self._call(client, model, messages, schema) for messages in conversations]

        [answer] = await answered([prompt], schema, model=model, ask=ask)
        return answer

    async def _call(
        self,
        client: "httpx.AsyncClient",
        model: str,
        messages: Messages,
        schema: dict[str, Any] | None,
    ) -> Reply:
        """One call; a server that refuses a `response_format` is asked again in a simpler way."""
        while True:
            asked = self._format
            body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0, **self._more}
            if schema is not None and (form := _response_format(FORMATS[asked], schema)):
                body["response_format"] = form
            response = await self._send(client, body)
            refused = response.status_code in (400, 422) and "response_format" in response.text
            if refused and "response_format" in body:
                self._format = max(self._format, asked + 1)
                continue
            return _content(response, model)

    async def _send(self, client: "httpx.AsyncClient", body: dict[str, Any]) -> "httpx.Response":
        """Post, waiting once where the server says how long."""
        import httpx

        try:
            response = await client.post(f"{self._url}/chat/completions", json=body)
            if (wait_s := wait_asked_s(response)) is not None:
                await asyncio.sleep(wait_s)
                response = await client.post(f"{self._url}/chat/completions", json=body)
        except httpx.RequestError as error:
            raise EngineUnavailable(
                f"the language server {self._url} cannot be reached: {error or type(error).__name__}",
                fix=self._absent_fix,
            ) from error
        return response


async def _unwrapped(work: Any) -> Any:
    """The outcome or the error of one call, so that a task group does not wrap it in a group."""
    try:
        return await work
    except (EngineFailed, EngineUnavailable) as error:
        return error


def _or_raise(outcome: Completion | EngineFailed | EngineUnavailable) -> Completion:
    if isinstance(outcome, Completion):
        return outcome
    raise outcome


def _response_format(form: str, schema: dict[str, Any]) -> dict[str, Any] | None:
    if form == "json_schema":
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return {"type": form} if form == "json_object" else None


def _content(response: "httpx.Response", model: str) -> Reply:
    _raise_for(response, model)
    try:
        answer: Any = response.json()
        choice = answer["choices"][0]
        text, cut = choice["message"]["content"], choice.get("finish_reason") == "length"
        used: dict[str, Any] = answer.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineFailed(
            "the language server answered with something else than a chat completion",
            fix="check that OPENAI_LANGUAGE_URL ends in /v1 and is a chat server",
        ) from error
    if not isinstance(text, str):
        raise EngineFailed("the language server gave an empty answer", fix="try another model")
    usage = Usage(prompt_tokens=used.get("prompt_tokens") or 0, completion_tokens=used.get("completion_tokens") or 0)
    return Reply(text=text, usage=usage, cut=cut)


def _raise_for(response: "httpx.Response", model: str) -> None:
    """The typed error for a refusal; never with the request, which holds the key."""
    status = response.status_code
    if status < 400:
        return
    if status in (401, 403):
        raise EngineFailed("the language server refuses the key", fix="correct OPENAI_LANGUAGE_API_KEY")
    if status == 404:
        raise EngineFailed(
            f"the language server knows no model {model!r}, or the address is wrong",
            fix="correct OPENAI_LANGUAGE_MODEL and OPENAI_LANGUAGE_URL (it ends in /v1)",
        )
    if status in (408, 409, 429) or status >= 500:
        raise EngineUnavailable(f"the language server answers {status}", fix="try again later")
    if "context" in response.text.lower():
        raise EngineFailed("the text is too long for the model", fix="use a model with a longer context")
    raise EngineFailed(f"the language server answers {status}: {response.text[:200]}", fix="check model and server")
