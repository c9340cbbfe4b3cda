"""Errors of a server, as they are told, are what they are."""

import pytest

from blocks.errors import C500Error
from blocks.iiagent.faults import FAULTS, ServerFault, error_of, fault_of

RUN = "Error running agent: "


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (RUN + "Error code: 401 - {'error': {'message': 'Incorrect API key provided'}}", "key"),
        (RUN + "Error code: 403 - {'error': {'message': 'Key limit exceeded (total limit)'}}", "key"),
        (RUN + "Error code: 402 - {'error': {'message': 'Insufficient credits'}}", "key"),
        (RUN + "Error code: 400 - {'error': {'message': 'Your credit balance is too low'}}", "key"),
        (RUN + "Error code: 429 - {'error': {'code': 'insufficient_quota'}}", "key"),
        ("Error initializing agent: LLM config not found for model: x", "key"),
        (RUN + "Error code: 429 - {'error': {'message': 'Rate limit reached for requests'}}", "rate"),
        (RUN + "Error code: 429 - Rate limit exceeded: limit_rpm/x", "rate"),
        (RUN + "Error code: 429 - You exceeded your current quota. Please retry in 12s.", "rate"),
        (RUN + "Error code: 429 - Token limit exceeded: 40000 per min", "rate"),
        (RUN + "Error code: 500 - {'error': {}}", "server"),
        (RUN + "Error code: 529 - overloaded_error", "server"),
        (RUN + "Request timed out.", "server"),
        (RUN + "Connection error.", "server"),
        (RUN + "'NoneType' object has no attribute 'x'", "server"),
        (RUN + "Error code: 400 - maximum context length is 128000 tokens", "context"),
        (RUN + "Error code: 400 - prompt is too long: 210000 tokens > 200000 maximum", "context"),
        (RUN + "Error code: 400 - {'error': {'message': 'Invalid schema'}}", "request"),
        (RUN + "Error code: 404 - no such model", "request"),
        ("A query is already being processed", "busy"),
        ("Agent not initialized for this session", "not_initialized"),
        ("No active agent for this session", "not_initialized"),
        ("Invalid query content: 1 validation error", "protocol"),
        ("Invalid message format: x", "protocol"),
        ("Invalid JSON format", "protocol"),
        ("Unknown message type: x", "protocol"),
        (RUN + "Error code: 400 - Invalid JSON in the arguments of a tool", "request"),
        (RUN + "Error code: 502 - invalid content from upstream", "server"),
        (RUN + "Error code: 400 - context length limit exceeded", "context"),
        ("something new", "fatal"),
    ],
)
def test_a_text_tells_its_kind(text: str, kind: ServerFault) -> None:
    assert fault_of(text) == kind


@pytest.mark.parametrize("kind", list(FAULTS))
def test_each_kind_is_an_error_with_a_fix(kind: ServerFault) -> None:
    error = error_of(kind, "it said so")
    assert isinstance(error, C500Error) and error.fix and error.details["kind"] == kind
