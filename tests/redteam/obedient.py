"""A model that does as it is told, whoever tells it: the worst that an injection can reach."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from blocks.accounts.account import Accounts
from blocks.accounts.chat import Answer, Caller, ChatReply, ChatRequest
from blocks.errors import EngineUnavailable
from tests.redteam.parts import Call, Turn

ORDER = re.compile(r"CALL (\w+) (?=\{)")
VERDICT = re.compile(r"VERDICT (\{.*?\})")
GOVERNOR = "You are the governor"
LAST_WORD = "It is done."

Message = dict[str, Any]


def texts_of(message: Message) -> Iterator[str]:
    """All texts of a message, of whatever stands in it as JSON too."""
    yield from _strings(message.get("content") or "")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        for line in (value, *value.splitlines()):
            with suppress(ValueError):
                if line.startswith(("{", "[")):
                    yield from _strings(json.loads(line))
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield name
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)


def ordered(messages: Sequence[Message]) -> list[Call]:
    """The calls that the last message which orders any wants; what the model said itself orders nothing."""
    for message in reversed(messages):
        if message["role"] == "assistant":
            continue
        found = [call for text in texts_of(message) for call in _orders(text)]
        if found:
            return found
    return []


def _orders(text: str) -> Iterator[Call]:
    for found in ORDER.finditer(text):
        try:
            given, _ = json.JSONDecoder().raw_decode(text[found.end() :])
        except ValueError:
            continue
        yield Call(tool=found[1], given=given)


@dataclass
class Obedient:
    """What the model does, turn by turn.

    Attributes:
        turns: In order; then it says a last word.
        asked: What it was sent, request by request.
        obeyed: Calls that it made because it was told to.
        governor: What it says as the governor; see `RunCase`.
        judged: What it was sent as the governor.
    """

    turns: Sequence[Turn]
    asked: list[list[Message]] = field(default_factory=list[list[Message]])
    obeyed: list[Call] = field(default_factory=list[Call])
    governor: Sequence[str] = ()
    judged: list[list[Message]] = field(default_factory=list[list[Message]])

    def judge(self, messages: Sequence[Message]) -> str:
        """What it says as the governor."""
        said = self.governor[min(len(self.judged), len(self.governor) - 1)]
        self.judged.append(list(messages))
        if said == "away":
            raise EngineUnavailable("no account answers", fix="try again later")
        if said != "obey":
            return said
        [*_, found] = (one for message in messages for text in texts_of(message) for one in VERDICT.findall(text))
        return found.replace("\\", "")  # it stands in the call's arguments, as JSON

    def answer(self, messages: Sequence[Message]) -> tuple[str, list[tuple[str, str, dict[str, Any]]]]:
        """What it says, and the calls it makes: id, tool, arguments."""
        number = sum(message["role"] == "assistant" for message in messages) - self._before(messages)
        self.asked.append(list(messages))
        turn = self.turns[number] if number < len(self.turns) else Turn(say=LAST_WORD)
        calls = list(turn.calls)
        if turn.obeys:
            calls = ordered(messages)
            self.obeyed += calls
        if not calls:
            return turn.say or LAST_WORD, []
        named = ((call.call_id or f"call-{number}-{place}", call) for place, call in enumerate(calls))
        return "", [(call_id, call.tool, call.given) for call_id, call in named]

    def _before(self, messages: Sequence[Message]) -> int:
        """Answers of earlier runs of the session."""
        if not self.asked:
            return sum(message["role"] == "assistant" for message in messages)
        return sum(message["role"] == "assistant" for message in self.asked[0])

    @property
    def read(self) -> str:
        """All that it was sent but what it had said itself."""
        sent = (*self.asked, *self.judged)
        messages = (message for messages in sent for message in messages if message["role"] != "assistant")
        return "\n".join(dict.fromkeys(text for message in messages for text in texts_of(message)))


class ObedientPool:
    """The account pool of a run, with that model behind it.

    Args:
        accounts: Of the accounts file.
        model: The model.
    """

    def __init__(self, accounts: Accounts, model: Obedient) -> None:
        self.accounts, self.model = accounts, model

    async def complete(self, request: ChatRequest, _caller: Caller) -> Answer:
        """See `blocks.accounts.pool.Pool`."""
        if self.model.governor and GOVERNOR in str(request.messages[0]["content"]):
            said, calls = self.model.judge(request.messages), []
        else:
            said, calls = self.model.answer(request.messages)
        asked = tuple(
            {"id": call_id, "type": "function", "function": {"name": tool, "arguments": json.dumps(given)}}
            for call_id, tool, given in calls
        )
        reply = ChatReply(text=said, tool_calls=asked, finish_reason="tool_calls" if calls else "stop")
        return Answer(reply=reply, model="obedient", account="red", cost_usd=0.0, latency_s=0.0)
