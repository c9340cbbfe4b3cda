"""How much text a local model takes at once, counted without loading it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from blocks.errors import BadInput, EngineFailed, NotFound
from blocks.settings import settings

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEMPLATE_TOKENS = 128
"""Kept free for what a chat template puts around system and user text. ChatML (Qwen) takes about 15 tokens, Llama 3.1
with its standing header about 50; the rest is reserve."""


@dataclass(frozen=True, kw_only=True)
class TokenBudget:
    """What fits into one request.

    Attributes:
        max_input_tokens: Most tokens of system and user text together.
        max_output_tokens: Most tokens of the answer.
        count: Tokens of a text.
    """

    max_input_tokens: int
    max_output_tokens: int
    count: Callable[[str], int]

    def takes(self, *texts: str) -> bool:
        """Whether the texts fit into one request together."""
        return sum(self.count(text) for text in texts) <= self.max_input_tokens


def max_input_tokens(max_model_len: int, max_output_tokens: int) -> int:
    """What the context leaves for the input.

    Raises:
        BadInput: nothing.
    """
    left = max_model_len - max_output_tokens - TEMPLATE_TOKENS
    if left < 1:
        raise BadInput(
            f"LLM_MAX_OUTPUT_TOKENS is {max_output_tokens}, which leaves no room for a prompt in LLM_MAX_MODEL_LEN, "
            f"{max_model_len}",
            fix="set LLM_MAX_OUTPUT_TOKENS lower or LLM_MAX_MODEL_LEN higher",
            field="LLM_MAX_OUTPUT_TOKENS",
        )
    return left


def budget_of(folder: Path) -> TokenBudget:
    """The budget of the model in the folder, with the settings LLM_MAX_MODEL_LEN and LLM_MAX_OUTPUT_TOKENS.

    Raises:
        BadInput: the settings leave no room for a prompt.
        NotFound, EngineFailed: the model has no tokenizer.json, or a damaged one.
    """
    chosen = settings()
    return TokenBudget(
        max_input_tokens=max_input_tokens(chosen.llm_max_model_len, chosen.llm_max_output_tokens),
        max_output_tokens=chosen.llm_max_output_tokens,
        count=token_counter(folder),
    )


def token_counter(folder: Path) -> Callable[[str], int]:
    """Counts tokens as the model in the folder does.

    Raises:
        NotFound, EngineFailed: the model has no tokenizer.json, or a damaged one.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise NotFound(
            f"{folder} holds no tokenizer.json, by which tokens are counted",
            fix="c500 models check; if the model has none, choose another one",
        )
    tokenizer = _tokenizer(path, path.stat().st_mtime_ns)
    return lambda text: len(tokenizer.encode(text).ids)


@lru_cache(maxsize=2)
def _tokenizer(path: Path, changed_ns: int) -> "Tokenizer":
    """The tokenizer of a file in the state of that time."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception
        raise EngineFailed(f"{path} cannot be read: {error}", fix="c500 models check, then pull it again") from error
    tokenizer.no_truncation()  # files of some models cut at a length, and so would the count
    tokenizer.no_padding()
    return tokenizer
