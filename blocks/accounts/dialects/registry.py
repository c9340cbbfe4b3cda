"""The dialects by name."""

from blocks.accounts.account import Dialect as DialectName
from blocks.accounts.dialects.anthropic import Anthropic
from blocks.accounts.dialects.gemini import Gemini
from blocks.accounts.dialects.openai import OpenAI
from blocks.accounts.dialects.protocol import Dialect

DIALECTS: dict[DialectName, Dialect] = {"openai": OpenAI(), "anthropic": Anthropic(), "gemini": Gemini()}
