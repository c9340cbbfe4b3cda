"""Answers held against their schema, with one chance to be repaired."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from blocks.language.protocol import Completion, Prompt, Usage
from blocks.language.validation import json_in, problems_of, repair_request

Messages = list[dict[str, str]]
"""A conversation: `role` and `content` of each message."""


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a model said to a conversation.

    Attributes:
        text: The answer.
        usage: Its tokens.
        cut: Whether it ended only because it reached the most tokens it may have.
    """

    text: str
    usage: Usage
    cut: bool = False


Ask = Callable[[list[Messages]], Awaitable[list[Reply]]]
"""Has all conversations answered, in order."""


def any_length(messages: Messages) -> bool:
    """For models whose limit is not known here."""
    return True


async def answered(
    prompts: Sequence[Prompt],
    schema: dict[str, Any] | None,
    *,
    model: str,
    ask: Ask,
    takes: Callable[[Messages], bool] = any_length,
) -> list[Completion]:
    """Ask, and ask once more where an answer does not satisfy the schema.

    Args:
        prompts: What to answer.
        schema: JSON Schema every answer must satisfy; None for plain text, which is never repaired.
        model: The model's name.
        ask: Asks it.
        takes: Whether a conversation is short enough; a repair that would be too long is not tried.
    """
    start = time.perf_counter()
    asked = [_messages(prompt) for prompt in prompts]
    made = [_completion(reply, schema, model) for reply in await ask(asked)]
    if schema is not None:
        wrong = {n: _repair(asked[n], answer) for n, answer in enumerate(made) if answer.problems}
        wrong = {n: messages for n, messages in wrong.items() if takes(messages)}
        replies = await ask(list(wrong.values())) if wrong else []
        for n, reply in zip(wrong, replies, strict=True):
            second = _completion(reply, schema, model)
            made[n] = second.model_copy(update={"usage": _sum(made[n].usage, second.usage)})
    latency_s = time.perf_counter() - start
    return [answer.model_copy(update={"latency_s": latency_s}) for answer in made]


def _messages(prompt: Prompt) -> Messages:
    return [{"role": "system", "content": prompt.system}, {"role": "user", "content": prompt.user}]


def _completion(reply: Reply, schema: dict[str, Any] | None, model: str) -> Completion:
    parsed, problems = _read(reply.text, schema)
    if reply.cut:
        problems = [f"the answer was cut at its limit of {reply.usage.completion_tokens} tokens", *problems]
    return Completion(text=reply.text, parsed=parsed, problems=tuple(problems), usage=reply.usage, model=model)


def _read(text: str, schema: dict[str, Any] | None) -> tuple[dict[str, Any] | None, list[str]]:
    if schema is None:
        return None, []
    parsed = json_in(text)
    if parsed is None:
        return None, ["the answer holds no JSON object"]
    return parsed, problems_of(parsed, schema)


def _repair(asked: Messages, answer: Completion) -> Messages:
    """The conversation with the answer and what is wrong with it."""
    request = repair_request(answer.problems)
    return [*asked, {"role": "assistant", "content": answer.text}, {"role": "user", "content": request}]


def _sum(first: Usage, second: Usage) -> Usage:
    return Usage(
        prompt_tokens=first.prompt_tokens + second.prompt_tokens,
        completion_tokens=first.completion_tokens + second.completion_tokens,
    )
