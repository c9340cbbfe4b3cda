"""Chunks answered by a model through the account pool, as JSON of a schema."""

import json
from typing import Any, cast

from blocks.accounts.account import Accounts
from blocks.accounts.chat import Answer, Caller, ChatRequest
from blocks.accounts.routes import check_choice
from blocks.accounts.structured import Completes
from blocks.errors import EngineFailed
from blocks.language.validation import json_in
from tasks.batch_prompts.chunk import Chunk
from tasks.batch_prompts.columns import schema_of
from tasks.batch_prompts.engine import Answered, Cells
from tasks.batch_prompts.plan import Plan

PATIENCE_S = 3600.0
"""A chunk waits so long for limits of the accounts; one that leaves no room within that ends the run."""

ROWS = "rows"

FORM = (
    'Answer with one JSON object {{"rows": [...]}} and nothing else: in the list one object for each wanted row, '
    "each with the fields {fields}."
)


class LlmEngine:
    """A model of the accounts.

    Args:
        pool: Who answers.
        plan: What is asked.
    """

    def __init__(self, pool: Completes, plan: Plan) -> None:
        self._pool, self._plan = pool, plan
        self._schema = answer_schema(plan)
        self._form = FORM.format(fields=", ".join(self._schema["properties"][ROWS]["items"]["properties"]))

    async def answer(self, chunk: Chunk, prompt: str) -> Answered:
        """See `Engine.answer`."""
        plan = self._plan
        caller = Caller(user=plan.file.user, job=plan.job_name, labels=plan.file.accounts, deadline_s=PATIENCE_S)
        answer = await self._pool.complete(self.request(chunk.group, f"{prompt}\n\n{self._form}"), caller)
        reply = answer.reply
        if reply.refusal or reply.finish_reason == "content_filter":
            why = reply.refusal or "the provider withheld the answer"
            raise EngineFailed(
                f"the model declined: {why[:300]}", fix="change the rows or the prompt", cost_usd=answer.cost_usd
            )
        return _answered(answer)

    def request(self, group: str, prompt: str) -> ChatRequest:
        """What the model is asked."""
        file = self._plan.file
        return ChatRequest(
            messages=({"role": "user", "content": prompt},),
            model=self._plan.model_of(group),
            tier=self._plan.tier_of(group),
            max_output_tokens=file.max_output_tokens,
            temperature=file.temperature,
            response_schema=self._schema,
        )


def check_models(plan: Plan, accounts: Accounts) -> None:
    """Refuse a plan with a model or a tier that no account has. Raises `Unsupported`."""
    for group in plan.templates:
        check_choice(accounts, plan.file.accounts, plan.model_of(group), plan.tier_of(group))


def answer_schema(plan: Plan) -> dict[str, Any]:
    """The JSON Schema of an answer. How many rows there must be, providers' strict modes have no word for."""
    columns = {name: schema_of(column) for name, column in plan.file.columns.items()}
    number = {"type": "integer", "description": "number of the input row"}
    properties = {plan.file.row_column: number, **plan.per_row.schemas(), **columns}
    row = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {
        "type": "object",
        "properties": {ROWS: {"type": "array", "items": row}},
        "required": [ROWS],
        "additionalProperties": False,
    }


def _answered(answer: Answer) -> Answered:
    reply = answer.reply
    found = json_in(reply.text)
    rows: Any = found.get(ROWS) if found is not None else None
    problems: tuple[str, ...] = ()
    if not isinstance(rows, list):
        rows = whole_objects(reply.text)
        was_cut = reply.finish_reason == "length"
        told = f"it was cut at {reply.usage.completion_tokens} tokens" if was_cut else 'it has no list "rows"'
        problems = (f"the answer: {told}",)
    return Answered(
        rows=cast(list[Cells], rows),
        problems=problems,
        cost_usd=answer.cost_usd,
        account=answer.account,
        model=answer.model,
        prompt_tokens=reply.usage.prompt_tokens,
        completion_tokens=reply.usage.completion_tokens,
    )


def whole_objects(text: str) -> list[Cells]:
    """The whole objects of the list `rows` in an answer that was cut off: they are paid for, and each is checked."""
    decoder, found = json.JSONDecoder(), list[Cells]()
    _, begun, rest = text.partition(f'"{ROWS}"')
    at = rest.find("[") + 1
    if not begun or not at:
        return []
    while True:
        while at < len(rest) and rest[at] in " \t\r\n,":
            at += 1
        try:
            value, at = decoder.raw_decode(rest, at)
        except (ValueError, RecursionError):
            return found
        if not isinstance(value, dict):
            return found
        found.append(cast(Cells, value))
