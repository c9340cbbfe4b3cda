"""How many tokens a request has, before it is sent."""

import json
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blocks.accounts.account import Model
from blocks.accounts.chat import ChatRequest
from blocks.errors import BadInput

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BYTES_PER_TOKEN = 3
"""English has about 4 bytes a token in today's vocabularies, Vietnamese and code about 3: a bound for most texts."""

TOKENS_PER_MESSAGE = 8
"""Role and separators of a message; chat templates take 3 to 7."""

TOKENS_PER_PART = 1_600
"""A picture or another part that is no text: the most a large picture costs at OpenAI and Anthropic."""


def prompt_tokens(request: ChatRequest, model: Model) -> int:
    """Tokens of messages, tools and schema: counted where the model has a tokenizer, else estimated, rather high."""
    counter = _tokenizer(model.tokenizer) if model.tokenizer else None
    texts, others = _texts(request)
    if counter is None:
        counted = sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN + 1
    else:
        counted = sum(len(counter.encode(text, add_special_tokens=False)) for text in texts)
    return counted + others * TOKENS_PER_PART + (len(request.messages) + 1) * TOKENS_PER_MESSAGE


def _texts(request: ChatRequest) -> tuple[list[str], int]:
    """All texts of a request, and how many parts of it are no texts."""
    texts = [_dumped(part) for part in (*request.tools, request.response_schema) if part]
    others = 0
    for message in request.messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else [content]:  # pyright: ignore[reportUnknownVariableType]
            if isinstance(part, str):
                texts.append(part)
            elif isinstance(part, dict):
                text: Any = part.get("text")  # pyright: ignore[reportUnknownMemberType]
                texts += [text] if isinstance(text, str) else []
                others += not isinstance(text, str)
        if calls := message.get("tool_calls"):
            texts.append(_dumped(calls))
    return texts, others


def _dumped(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


@lru_cache
def _tokenizer(place: str) -> "Tokenizer":
    from tokenizers import Tokenizer

    path = Path(place).expanduser()
    file = path / "tokenizer.json" if path.is_dir() else path
    try:
        return Tokenizer.from_file(str(file))  # pyright: ignore[reportUnknownMemberType]
    except Exception as error:  # the library raises nothing narrower
        raise BadInput(f"{file} is no tokenizer: {error}", fix="give a tokenizer.json", field="tokenizer") from error
