"""What every provider's API has, in its own words."""

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from deployments.simulator.asked import Answer, Asked, Refusal, Standing


class Dialect(Protocol):
    """An API: three implementations, `openai`, `anthropic` and `gemini`.

    Attributes:
        needs_header: A header that no request may lack.
    """

    needs_header: str | None

    def parse(self, body: dict[str, Any], model: str, action: str) -> Asked:
        """What a request asks.

        Args:
            body: As it came.
            model: In the path, where the API has it there; else empty.
            action: What of the API was called.

        Raises:
            BadRequest: it is not of the API's form.
        """
        ...

    def answer(self, asked: Asked, answer: Answer, name: str, created_s: int) -> bytes:
        """The body of an answer.

        Args:
            asked: The request.
            answer: What it gets.
            name: The identity of the answer.
            created_s: When it was made, in seconds since 1970.
        """
        ...

    def stream(
        self, asked: Asked, answer: Answer, name: str, created_s: int, pieces: Iterable[str]
    ) -> Iterator[tuple[bytes, bool]]:
        """The server-sent events of an answer, each with whether it holds a piece of the content."""
        ...

    def refusal(self, refusal: Refusal, name: str) -> tuple[int, bytes]:
        """Status and body of an error."""
        ...

    def headers(self, requests: Standing | None, tokens: Standing | None, wall_s: float) -> dict[str, str]:
        """The headers that tell how the limits stand.

        Args:
            requests: The tightest limit of requests.
            tokens: The tightest limit of tokens.
            wall_s: Now, as the provider believes, in seconds since 1970.
        """
        ...

    def retry_headers(self, wait_s: float) -> dict[str, str]:
        """The headers that tell when to try again, in so many seconds."""
        ...

    def request_id(self, name: str) -> dict[str, str]:
        """The header that names the request."""
        ...

    def models(self, names: list[str]) -> bytes:
        """The body of the list of models."""
        ...
