"""Any OpenAI-compatible chat server as a language engine."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blocks.errors import EngineFailed, EngineUnavailable
from blocks.http import wait_asked_s
from blocks.language.protocol import Completion, Prompt, Usage
from blocks.language.validation import json_in, problems_of
from blocks.settings import settings
from blocks.transcript import EngineInfo

if TYPE_CHECKING:
    import httpx

CONCURRENT_CALLS = 4
FORMATS = ("json_schema", "json_object", "text")
"""Ways to ask for JSON, best first; a server that refuses one is asked the next way."""


class OpenAILanguageEngine:
    """Chat completions over HTTP, with structured output where the server can, and one repair round.

    Server, key and model are the settings OPENAI_LANGUAGE_URL, …_API_KEY and …_MODEL.
    """

    def __init__(self) -> None:
        chosen = settings()
        self._url = str(chosen.openai_language_url).rstrip("/")
        self._key = chosen.openai_language_api_key
        self._models = {
            "enhance": chosen.openai_language_model or chosen.llm_enhance_model,
            "summarise": chosen.openai_language_model or chosen.llm_sum_model,
        }
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
        start = time.perf_counter()
        messages = [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]
        model = self._models[prompt.task]
        text, usage = await self._call(client, model, messages, schema)
        parsed, problems = _read(text, schema)
        if problems:
            messages += [
                {"role": "assistant", "content": text},
                {"role": "user", "content": _repair_request(problems)},
            ]
            text, more = await self._call(client, model, messages, schema)
            parsed, problems = _read(text, schema)
            usage = Usage(
                prompt_tokens=usage.prompt_tokens + more.prompt_tokens,
                completion_tokens=usage.completion_tokens + more.completion_tokens,
            )
        return Completion(
            text=text,
            parsed=parsed,
            problems=tuple(problems),
            usage=usage,
            model=model,
            latency_s=time.perf_counter() - start,
        )

    async def _call(
        self,
        client: "httpx.AsyncClient",
        model: str,
        messages: list[dict[str, str]],
        schema: dict[str, Any] | None,
    ) -> tuple[str, Usage]:
        """One call; a server that refuses a `response_format` is asked again in a simpler way."""
        while True:
            asked = self._format
            body: dict[str, Any] = {"model": model, "messages": messages, "temperature": 0}
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
                fix="start it, or correct OPENAI_LANGUAGE_URL",
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


def _content(response: "httpx.Response", model: str) -> tuple[str, Usage]:
    _raise_for(response, model)
    try:
        answer: Any = response.json()
        text = answer["choices"][0]["message"]["content"]
        used: dict[str, Any] = answer.get("usage") or {}
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise EngineFailed(
            "the language server answered with something else than a chat completion",
            fix="check that OPENAI_LANGUAGE_URL ends in /v1 and is a chat server",
        ) from error
    if not isinstance(text, str):
        raise EngineFailed("the language server gave an empty answer", fix="try another model")
    usage = Usage(prompt_tokens=used.get("prompt_tokens") or 0, completion_tokens=used.get("completion_tokens") or 0)
    return text, usage


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


def _read(text: str, schema: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[str]]:
    if schema is None:
        return None, []
    parsed = json_in(text)
    if parsed is None:
        return None, ["the answer holds no JSON object"]
    return parsed, problems_of(parsed, schema)


def _repair_request(problems: Sequence[str]) -> str:
    return (
        "Your answer does not satisfy the schema:\n"
        + "\n".join(f"- {problem}" for problem in problems)
        + "\nAnswer again with the corrected JSON object alone."
    )
