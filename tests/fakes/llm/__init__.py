"""A simulator of an OpenAI-compatible chat server, over real HTTP.

with serve_llm(Behaviour(answers="fence")) as server:
    ...call server.url + "/chat/completions"...
    assert server.requests[0].body["temperature"] == 0
"""

from tests.fakes.llm.behaviour import Behaviour
from tests.fakes.llm.server import LlmServer, Recorded, serve_llm

__all__ = ["Behaviour", "LlmServer", "Recorded", "serve_llm"]
