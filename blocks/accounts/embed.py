"""Embeddings of any server with OpenAI's `/embeddings`, for answers to similar requests."""

from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from blocks.errors import EngineFailed, EngineUnavailable

if TYPE_CHECKING:
    import numpy as np

TIMEOUT_S = 20.0


class ServerEmbedder:
    """See `Embedder`.

    Args:
        url: Base URL, ending in /v1.
        model: Name of the model there.
        key: The server's key; None for none.
    """

    def __init__(self, url: str, model: str, key: SecretStr | None = None) -> None:
        self._url, self._model, self._key = url.rstrip("/"), model, key

    @property
    def name(self) -> str:
        """The model and its server."""
        return f"{self._model} {self._url}"

    async def embed(self, text: str) -> "np.ndarray[Any, Any]":
        """See `Embedder`.

        Raises:
            EngineUnavailable, EngineFailed: the server does not answer, or not with an embedding.
        """
        import httpx
        import numpy as np

        headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"} if self._key else {}
        try:
            async with httpx.AsyncClient(headers=headers, timeout=TIMEOUT_S, trust_env=False) as client:
                response = await client.post(f"{self._url}/embeddings", json={"model": self._model, "input": text})
                response.raise_for_status()
                vector = np.asarray(response.json()["data"][0]["embedding"], dtype=np.float32)
        except httpx.HTTPError as error:
            raise EngineUnavailable(
                f"the embedding server {self._url} does not answer: {type(error).__name__}",
                fix="start it, or correct EMBEDDING_URL and EMBEDDING_MODEL",
            ) from None
        except (ValueError, KeyError, IndexError, TypeError) as error:
            raise EngineFailed(
                f"{self._url} answers with something else than an embedding", fix="correct EMBEDDING_URL"
            ) from error
        length = float(np.linalg.norm(vector))
        return vector / length if length else vector
