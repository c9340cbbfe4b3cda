"""What a simulated model says: by a script, by the schema or tool asked for, or an echo; and said wrongly."""

import re
from typing import Any

import orjson

from deployments.simulator.asked import BYTES_PER_TOKEN, Answer, Asked, ToolCall, tokens_in
from deployments.simulator.behaviour import Behaviour, Fault
from deployments.simulator.chance import Luck
from deployments.simulator.instance import instance

WRONG = '{"unexpected":true}'


def answer_to(asked: Asked, behaviour: Behaviour, luck: Luck, fault: Fault | None) -> Answer:
    """The answer, with the usage that is charged for it; of embeddings only what was read."""
    if asked.dimensions is not None:
        return Answer(text="", prompt_tokens=asked.prompt_tokens)
    text, calls = _said(asked, behaviour, luck)
    text = _wrongly(text, fault)
    finish = "tool" if calls else "stop"
    if fault in ("empty", "filtered"):
        calls, finish = (), "stop" if fault == "empty" else "filtered"
    if fault == "length" or (asked.max_tokens is not None and tokens_in(text) > asked.max_tokens):
        most = tokens_in(text) // 2 if fault == "length" else asked.max_tokens or 0
        text, finish, calls = _cut(text, most), "length", ()
    used = tokens_in(text) + sum(tokens_in(call.name + call.arguments) for call in calls)
    return Answer(
        text=text,
        calls=calls,
        finish=finish,
        prompt_tokens=asked.prompt_tokens,
        cached_tokens=int(asked.prompt_tokens * behaviour.cached_share),
        completion_tokens=used + behaviour.reasoning_tokens,
        reasoning_tokens=behaviour.reasoning_tokens,
    )


def _said(asked: Asked, behaviour: Behaviour, luck: Luck) -> tuple[str, tuple[ToolCall, ...]]:
    if behaviour.script is not None and (said := behaviour.script(asked)) is not None:
        return _scripted(said)
    for rule in behaviour.rules:
        if found := re.search(rule.pattern, asked.prompt, re.DOTALL):
            text = found.expand(rule.answer) if isinstance(rule.answer, str) else _as_text(rule.answer)
            return ("", (ToolCall(name=rule.tool, arguments=text or "{}"),)) if rule.tool else (text, ())
    if (tool := _tool_to_call(asked)) is not None:
        schema: dict[str, Any] = {"type": "object"}
        for one in asked.tools:
            if one.name == tool:
                schema |= one.schema
        return "", (ToolCall(name=tool, arguments=_as_text(instance(schema, asked.last))),)
    if asked.schema is not None:
        return _as_text(instance(asked.schema, asked.last)), ()
    if asked.wants_json:
        return _as_text({"echo": asked.last}), ()
    return _echo(asked, behaviour, luck), ()


def _scripted(said: Any) -> tuple[str, tuple[ToolCall, ...]]:
    """What a script said: `{"tool_calls": [{"name": …, "arguments": {…}}], "text": …}` calls tools."""
    if not isinstance(said, dict) or "tool_calls" not in said:
        return _as_text(said), ()
    given: dict[str, Any] = said  # pyright: ignore[reportUnknownVariableType] - what a script returns
    calls = (ToolCall(name=one["name"], arguments=_as_text(one.get("arguments", {}))) for one in given["tool_calls"])
    return given.get("text") or "", tuple(calls)


def _tool_to_call(asked: Asked) -> str | None:
    """With `auto`, the first tool, once: its result is answered with text."""
    if not asked.tools or asked.tool_choice == "none":
        return None
    if asked.tool_choice not in ("auto", "any"):
        return asked.tool_choice
    return None if asked.tool_choice == "auto" and asked.has_tool_result else asked.tools[0].name


def _echo(asked: Asked, behaviour: Behaviour, luck: Luck) -> str:
    """The last message, repeated or cut to the length asked for."""
    said = asked.last or "-"
    if behaviour.answer_tokens is None:
        return said
    low, high = (
        behaviour.answer_tokens
        if isinstance(behaviour.answer_tokens, tuple)
        else (behaviour.answer_tokens, behaviour.answer_tokens)
    )
    wanted = low + int(luck.size * (high - low + 1))
    return _cut((said + " ") * (wanted * BYTES_PER_TOKEN // len(said) + 1), wanted)


def _wrongly(text: str, fault: Fault | None) -> str:
    """The content in the shape a less obedient model gives it."""
    if fault == "malformed":
        return text[: max(1, len(text) * 2 // 3)] + ' "'
    if fault == "prose":
        return f"Certainly! Here is what you asked for:\n{text}\nLet me know if you need more."
    if fault == "fence":
        return f"```json\n{text}\n```"
    if fault == "wrong_schema":
        return WRONG
    return "" if fault in ("empty", "filtered") else text


def _cut(text: str, tokens: int) -> str:
    """The beginning of a text: at most so many tokens, and whole characters."""
    return text.encode(errors="surrogatepass")[: tokens * BYTES_PER_TOKEN].decode(errors="ignore")


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
