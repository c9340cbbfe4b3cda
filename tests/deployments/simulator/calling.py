"""Accounts of each dialect, and calls as their providers' documentation shows them."""

from typing import Any

import httpx

from blocks.accounts.account import Account
from deployments.simulator.serve import InProcess

PRICE = {"input_usd": 2.5, "output_usd": 10.0, "cached_input_usd": 1.25}
SAID = "Good morning. Maria will call the customer before noon."

HTTP = httpx.Client(timeout=30, trust_env=False)
"""One for all: making a client loads certificates, which takes longer than a call."""


def account(name: str = "first", provider: str = "openai", **fields: Any) -> Account:
    """An account with one model, `small`, that costs something."""
    model = {"price": PRICE, "context_tokens": 1000, "max_output_tokens": 500} | fields.pop("model", {})
    content = {"name": name, "provider": provider, "key": "none", "models": {"small": model}} | fields
    if provider in ("vllm", "openai-compatible"):
        content["base_url"] = "http://127.0.0.1:1/v1"
    return Account.model_validate(content)


def chat(simulator: InProcess, said: str = SAID, account: str = "first", **fields: Any) -> httpx.Response:
    """A chat completion of OpenAI's."""
    body = {"model": "small", "messages": [{"role": "user", "content": said}]} | fields
    return HTTP.post(f"{simulator.base_url(account)}/chat/completions", json=body)


def message(simulator: InProcess, said: str = SAID, account: str = "first", **fields: Any) -> httpx.Response:
    """A message of Anthropic's."""
    body = {"model": "small", "max_tokens": 100, "messages": [{"role": "user", "content": said}]} | fields
    headers = {"anthropic-version": "2023-06-01"}
    return HTTP.post(f"{simulator.base_url(account)}/messages", json=body, headers=headers)


def generate(
    simulator: InProcess, said: str = SAID, action: str = "generateContent", model: str = "small", **fields: Any
) -> httpx.Response:
    """A generation of Gemini's."""
    body = {"contents": [{"role": "user", "parts": [{"text": said}]}]} | fields
    return HTTP.post(f"{simulator.base_url('first', 'v1beta')}/models/{model}:{action}", json=body)


def events(response: httpx.Response) -> list[str]:
    """The data of the server-sent events."""
    return [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: ")]
