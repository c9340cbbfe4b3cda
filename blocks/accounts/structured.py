"""Answers as typed values: found in the text, held against their schema, repaired once, never guessed."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar, overload

from pydantic import BaseModel, ValidationError

from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.errors import EngineFailed
from blocks.language.validation import json_in, problems_of, repair_request


class Completes(Protocol):
    """Answers requests, as `Pool` does."""

    async def complete(self, request: ChatRequest, caller: Caller | None = None) -> Answer:
        """See `Pool.complete`."""
        ...


T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, kw_only=True)
class Structured(Generic[T]):
    """A typed answer.

    Attributes:
        value: The answer, of the type or schema asked for.
        answers: The model's answers: one, or two when the first had to be repaired.
        source: `model`, or `fallback` when the caller's own fallback gave the value.
        problems: What was wrong with the model's last answer, when the fallback stepped in.
    """

    value: T
    answers: tuple[Answer, ...]
    source: Literal["model", "fallback"] = "model"
    problems: tuple[str, ...] = ()

    @property
    def cost_usd(self) -> float | None:
        """What all answers cost; None when a price is unknown."""
        costs = [answer.cost_usd for answer in self.answers]
        return None if None in costs else sum(cost for cost in costs if cost is not None)


@overload
async def ask(
    pool: Completes,
    request: ChatRequest,
    wanted: type[M],
    caller: Caller | None = None,
    fallback: Callable[[], M] | None = None,
) -> Structured[M]: ...


@overload
async def ask(
    pool: Completes,
    request: ChatRequest,
    wanted: dict[str, Any],
    caller: Caller | None = None,
    fallback: Callable[[], dict[str, Any]] | None = None,
) -> Structured[dict[str, Any]]: ...


async def ask(
    pool: Completes,
    request: ChatRequest,
    wanted: type[BaseModel] | dict[str, Any],
    caller: Caller | None = None,
    fallback: Callable[[], Any] | None = None,
) -> Structured[Any]:
    """Ask for a value of a type; a wrong answer is shown its faults and asked for once more.

    Args:
        pool: Who answers.
        request: What is asked; its `response_schema` is set here.
        wanted: A pydantic model, or a JSON Schema of an object.
        caller: For whom.
        fallback: Gives a value when the model does not, for instance by a list of words; the result is marked.

    Raises:
        EngineFailed: both answers are wrong and there is no fallback; `details["problems"]` says how.
    """
    schema = wanted if isinstance(wanted, dict) else wanted.model_json_schema()
    asked = request.model_copy(update={"response_schema": schema})
    answers: list[Answer] = []
    problems: tuple[str, ...] = ()
    began = time.monotonic()
    for _ in range(2):
        answer = await pool.complete(asked, _with_time_left(caller, began))
        answers.append(answer)
        value, problems = read(answer.reply.text, wanted)
        if answer.reply.finish_reason == "length":
            problems = (f"the answer was cut at {answer.reply.usage.completion_tokens} tokens", *problems)
        if not problems:
            return Structured(value=value, answers=tuple(answers))
        asked = _repair(asked, answer, problems)
    if fallback is not None:
        return Structured(value=fallback(), answers=tuple(answers), source="fallback", problems=problems)
    told = "; ".join(problems[:2])
    raise EngineFailed(
        f"the model's answer does not satisfy the schema: {told}",
        fix="ask for less at once, allow more output tokens, or choose a stronger model or tier",
        problems=list(problems),
        answer=answers[-1].reply.text[:500],
        cost_usd=sum(one.cost_usd or 0 for one in answers),
    )


def read(text: str, wanted: type[BaseModel] | dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """The value in an answer, bare, fenced or within prose; and what is wrong with it."""
    found = json_in(text)
    if found is None:
        return None, ("the answer holds no JSON object",)
    if isinstance(wanted, dict):
        return found, tuple(problems_of(found, wanted))
    try:
        return wanted.model_validate(found), ()
    except ValidationError as error:
        faults = error.errors(include_url=False, include_context=False, include_input=False)
        return None, tuple(f"{'.'.join(map(str, fault['loc'])) or 'answer'}: {fault['msg']}" for fault in faults[:5])


def _with_time_left(caller: Caller | None, began: float) -> Caller | None:
    """One deadline for both answers."""
    if caller is None or caller.deadline_s is None:
        return caller
    left_s = max(0.001, caller.deadline_s - (time.monotonic() - began))
    return caller.model_copy(update={"deadline_s": left_s})


def _repair(asked: ChatRequest, answer: Answer, problems: tuple[str, ...]) -> ChatRequest:
    turns = (
        {"role": "assistant", "content": answer.reply.text or "(nothing)"},
        {"role": "user", "content": repair_request(problems)},
    )
    return asked.model_copy(update={"messages": (*asked.messages, *turns)})
