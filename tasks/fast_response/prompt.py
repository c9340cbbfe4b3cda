"""What a model is told: to bridge what a child said and the main answer, by the conversation so far."""

from collections.abc import Sequence
from dataclasses import dataclass

from blocks.accounts.account import Model
from blocks.accounts.chat import ChatRequest, Message
from blocks.accounts.tokens import prompt_tokens
from blocks.errors import TooLarge
from tasks.fast_response.asked import FastOptions, Form
from tasks.fast_response.turns import Intent, Role, Turn, Utterance

SYSTEM = (
    "You are the quick voice of a learning companion that talks with a child. The conversation is in Vietnamese and "
    "English. Your reply is spoken at once, while the main answer is still being prepared: it bridges the child's last "
    "words and that answer. Reply in English only, never in Vietnamese, with 1 to 6 words. React to what the child "
    "said; do not answer for the child, do not ask anything, do not explain. Plain words: no emoji, no quotation "
    "marks, no name before it."
)

HINTS: dict[Intent, str] = {
    "positive": "The child is right or pleased: be glad with it.",
    "negative": "The child does not know, is wrong or unwilling: encourage it.",
    "neutral": "The child answered plainly: show that you heard it.",
    "fallback": "The child could not be understood, or spoke of something else: take it kindly, and lead back.",
    "silence": "The child said nothing: invite it gently, and give it time.",
}
"""What is known of how the child answered, for the model."""

SILENCE = "(the child says nothing)"
HEADING = "### 📚 Conversation History"
NAMES: dict[Role, str] = {"assistant": "* 🤖 Assistant:", "user": "* 👤 User:"}
"""How the history is written as one text, in the form of the notes that this is for."""


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A turn, ready to be sent.

    Attributes:
        turn: The turn.
        request: What is asked.
        dropped: Utterances left out at the beginning, for which there is no room.
    """

    turn: Turn
    request: ChatRequest
    dropped: int = 0


def prepared(turn: Turn, asked: FastOptions, models: Sequence[Model]) -> Prepared:
    """A turn as a request that fits, with as much of its history as there is room for.

    Args:
        turn: The turn.
        asked: How the reply is asked for.
        models: All that may answer: its tokens are counted by each one's tokenizer, or estimated rather high.

    Raises:
        TooLarge: not even what the child said last fits.
    """
    history = turn.heard
    room = min(asked.max_model_len, *(model.context_tokens for model in models)) - asked.max_tokens

    def made(dropped: int) -> ChatRequest:
        return _request(history[dropped:], turn.intent, asked)

    def fits(dropped: int) -> bool:
        request = made(dropped)
        return max(prompt_tokens(request, model) for model in models) <= room

    low, high = 0, len(history) - 1
    if not fits(high):
        raise TooLarge(
            f"turn {turn.id}: what was said last has no room in {room} tokens beside the system prompt",
            fix="shorten it, or raise max_model_len here and at the server",
            field="turns",
        )
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle + 1, high)
    return Prepared(turn=turn, request=made(low), dropped=low)


def messages(history: Sequence[Utterance], intent: Intent | None, form: Form, system: str) -> list[Message]:
    """The conversation as a model is given it.

    What is known of the intent comes last where it can: what all prompts have in common stands at their beginning,
    which servers keep from one request to the next.
    """
    hint = HINTS[intent] if intent else ""
    if form == "flat":
        text = "\n\n".join((HEADING, *(f"{NAMES[one.role]}\n{one.content.strip() or SILENCE}" for one in history)))
        user = f"{text}\n\n{hint}" if hint else text
        return [{"role": "system", "content": system}, {"role": "user", "content": user}]
    told = f"{system}\n\n{hint}" if hint else system
    said = [{"role": one.role, "content": one.content.strip() or SILENCE} for one in history]
    return [{"role": "system", "content": told}, *said]


def _request(history: Sequence[Utterance], intent: Intent | None, asked: FastOptions) -> ChatRequest:
    return ChatRequest(
        messages=tuple(messages(history, intent, asked.form, asked.system or SYSTEM)),
        model=asked.model,
        tier=None if asked.model else "simple",
        max_output_tokens=asked.max_tokens,
        temperature=asked.temperature,
    )
