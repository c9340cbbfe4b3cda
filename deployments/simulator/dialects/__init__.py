"""The APIs of the providers, each in its own words; a new one is a file and a row in `DIALECTS`."""

from blocks.accounts.account import Dialect as Name
from deployments.simulator.dialects.anthropic import Anthropic
from deployments.simulator.dialects.gemini import Gemini
from deployments.simulator.dialects.openai import OpenAi
from deployments.simulator.dialects.protocol import Dialect

DIALECTS: dict[Name, Dialect] = {"openai": OpenAi(), "anthropic": Anthropic(), "gemini": Gemini()}
