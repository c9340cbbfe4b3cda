"""The account pool as a language engine: any account of `accounts.yaml` that has room."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.open import open_pool
from blocks.errors import C500Error, EngineFailed, EngineUnavailable, TimedOut
from blocks.language.protocol import Completion, Prompt, Usage
from blocks.language.repair import Messages, Reply, answered
from blocks.settings import settings
from blocks.transcript import EngineInfo

USER = "audio"
"""Who the calls of the audio job are for, in budgets and books."""


class PoolLanguageEngine:
    """Chat completions over the account pool, with limits, budgets and books; see `LanguageEngine`."""

    def __init__(self) -> None:
        chosen = settings()
        self._models = {"enhance": chosen.pool_enhance_model, "summarise": chosen.pool_sum_model}

    def info(self) -> EngineInfo:
        """Name and models; an empty model is the pool's own choice by tier."""
        return EngineInfo(
            name="pool",
            version="1",
            model=self._models["summarise"] or "by tier",
            settings={"enhance_model": self._models["enhance"] or "by tier", "temperature": 0},
        )

    @property
    def prompts_at_once(self) -> int:
        """Accounts answer in parallel."""
        return 8

    def budget(self) -> None:
        """Each model has its own; what fits none is refused."""

    def load(self) -> None:
        """There is nothing to load."""

    def unload(self) -> None:
        """There is nothing to free."""

    async def complete(self, prompts: Sequence[Prompt], schema: dict[str, Any] | None = None) -> list[Completion]:
        """Answer all prompts at the same time; see `LanguageEngine.complete`."""
        async with open_pool() as pool, asyncio.TaskGroup() as group:

            async def answer(prompt: Prompt) -> Completion:
                spent: list[Answer] = []

                async def ask(conversations: list[Messages]) -> list[Reply]:
                    replies: list[Reply] = []
                    for messages in conversations:
                        request = ChatRequest(
                            messages=tuple(messages),
                            model=self._models[prompt.task] or None,
                            temperature=0,
                            response_schema=schema,
                        )
                        spent.append(await pool.complete(request, Caller(user=USER, job=prompt.job)))
                        replies.append(_reply(spent[-1]))
                    return replies

                [made] = await answered([prompt], schema, model="pool", ask=ask)
                return made.model_copy(update={"model": spent[-1].model, "cost_usd": _cost(spent)})

            running = [group.create_task(_unwrapped(answer(prompt))) for prompt in prompts]
        return [_or_raise(task.result()) for task in running]


async def _unwrapped(work: Awaitable[Completion]) -> Completion | C500Error:
    """The outcome or the error of one prompt, so that a task group does not wrap it in a group."""
    try:
        return await work
    except C500Error as error:
        return error


def _or_raise(outcome: Completion | C500Error) -> Completion:
    """The outcome; an error as one of those that an engine may raise."""
    if isinstance(outcome, Completion):
        return outcome
    if isinstance(outcome, EngineFailed | EngineUnavailable):
        raise outcome
    kind = EngineUnavailable if outcome.transient or isinstance(outcome, TimedOut) else EngineFailed
    raise kind(outcome.message, fix=outcome.fix, **outcome.details) from outcome


def _reply(answer: Answer) -> Reply:
    used = answer.reply.usage
    return Reply(
        text=answer.reply.text,
        usage=Usage(prompt_tokens=used.prompt_tokens, completion_tokens=used.completion_tokens),
        cut=answer.reply.finish_reason == "length",
    )


def _cost(answers: Sequence[Answer]) -> float | None:
    costs = [answer.cost_usd for answer in answers]
    return None if None in costs else sum(cost for cost in costs if cost is not None)
