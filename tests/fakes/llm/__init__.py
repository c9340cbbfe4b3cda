"""The LLM simulator of `deployments.simulator`, in the test process (`serve_llm`) or in one of its own (`simulated`).

with serve_llm() as server:
    server.behaves(faults={"fence": 1})
    ...call server.url + "/chat/completions"...
    assert server.requests[0].body["temperature"] == 0
"""

from tests.fakes.llm.server import LlmServer, Recorded, serve_llm

__all__ = ["LlmServer", "Recorded", "serve_llm"]
