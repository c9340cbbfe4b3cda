"""Conversations cut to what a model takes: by whole turns, oldest first; what is pinned and what is asked stay."""

from collections.abc import Sequence
from dataclasses import dataclass

from blocks.accounts.account import Model
from blocks.accounts.chat import ChatRequest, Message
from blocks.accounts.tokens import prompt_tokens
from blocks.errors import BadInput, TooLarge
from blocks.model import Frozen

SMALLEST_PART = 50


class Trimmed(Frozen):
    """A request that fits.

    Attributes:
        request: The request.
        dropped: How many messages of the history were left out.
        prompt_tokens: What is left, in tokens.
    """

    request: ChatRequest
    dropped: int
    prompt_tokens: int


@dataclass(frozen=True)
class _Turn:
    """Messages that belong together: a user's, the answers, and all calls of tools with their results."""

    messages: tuple[Message, ...]
    is_kept: bool


def trim(request: ChatRequest, model: Model, output_tokens: int | None = None, pinned: Sequence[int] = ()) -> Trimmed:
    """Leave out the oldest turns until the request fits.

    System messages, pinned ones and the last turn, the task in hand, are never left out. Nothing is cut within a
    message.

    Args:
        request: What is asked.
        model: What it must fit.
        output_tokens: Tokens kept free for the answer; by default what the request asks for, or the model's most.
        pinned: Indices of messages that stay.

    Raises:
        TooLarge: what must stay is too long by itself; `details["over_tokens"]` says by how much.
    """
    room = model.context_tokens - model.output_tokens(output_tokens or request.max_output_tokens)
    turns = _turns(request.messages, set(pinned))
    dropped = 0
    while (tokens := prompt_tokens(kept := _of(request, turns), model)) > room:
        oldest = next((index for index, turn in enumerate(turns) if not turn.is_kept), None)
        if oldest is None:
            raise TooLarge(
                f"the task has {tokens} tokens and {room} are free: {tokens - room} too many",
                fix="shorten it, or have it split (map-reduce)",
                field="messages",
                prompt_tokens=tokens,
                over_tokens=tokens - room,
                context_tokens=model.context_tokens,
            )
        dropped += len(turns[oldest].messages)
        del turns[oldest]
    return Trimmed(request=kept, dropped=dropped, prompt_tokens=tokens)


def split(text: str, model: Model, room_tokens: int) -> list[str]:
    """A text in parts for map-reduce, each of at most so many tokens; cut at paragraphs, else at lines, else at words.

    Args:
        text: The text.
        model: Whose tokens are counted.
        room_tokens: The most tokens of a part, at least 50.

    Raises:
        BadInput: `room_tokens` is too small.
    """
    if room_tokens < SMALLEST_PART:
        raise BadInput(f"parts of {room_tokens} tokens are too small", fix="allow 50 or more", field="room_tokens")
    if _tokens(text, model) <= room_tokens:
        return [text]
    for mark in ("\n\n", "\n", " "):
        if mark in text.strip(mark):
            break
    else:
        half = len(text) // 2
        return [*split(text[:half], model, room_tokens), *split(text[half:], model, room_tokens)]
    parts: list[str] = []
    for piece in text.split(mark):
        joined = f"{parts[-1]}{mark}{piece}" if parts else piece
        if parts and _tokens(joined, model) <= room_tokens:
            parts[-1] = joined
        else:
            parts += split(piece, model, room_tokens)
    return [part for part in parts if part.strip()]


def _tokens(text: str, model: Model) -> int:
    return prompt_tokens(ChatRequest(messages=({"role": "user", "content": text},)), model)


def _turns(messages: Sequence[Message], pinned: set[int]) -> list[_Turn]:
    """Turns in order; each begins with a user's message."""
    groups: list[list[int]] = []
    for index, message in enumerate(messages):
        starts = message["role"] in ("system", "developer", "user") or not groups
        after_system = bool(groups) and messages[groups[-1][0]]["role"] in ("system", "developer")
        if starts or after_system:
            groups.append([index])
        else:
            groups[-1].append(index)
    last = groups[-1]
    return [
        _Turn(
            messages=tuple(messages[index] for index in group),
            is_kept=group is last
            or messages[group[0]]["role"] in ("system", "developer")
            or not pinned.isdisjoint(group),
        )
        for group in groups
    ]


def _of(request: ChatRequest, turns: Sequence[_Turn]) -> ChatRequest:
    return request.model_copy(update={"messages": tuple(message for turn in turns for message in turn.messages)})
