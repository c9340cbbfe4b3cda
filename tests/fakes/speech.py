"""A simulator of a transcription server: `/v1/audio/transcriptions` as OpenAI's and Whisper servers speak it."""

import io
import wave
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from tests.fakes.serving import serve


@dataclass
class SpeechServer:
    """A running server and how it behaves.

    Attributes:
        url: Base URL, ending in /v1.
        key: The key it asks for; None asks for none.
        model: The one model it knows.
        form: `verbose` (segments and words), `segments` (no words), `phantom` (the
            second one invented), `text` (the text alone), `broken`.
        failures: Status codes of the next answers, before it answers well.
        retry_after_s: What it says with a 429.
        requests: The form of every request it answered, and the length of the audio.
    """

    url: str = ""
    key: str | None = None
    model: str = "whisper-1"
    form: str = "verbose"
    failures: list[int] = field(default_factory=list)
    retry_after_s: float | None = 0.01
    requests: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def serve_speech(**behaviour: Any) -> Generator[SpeechServer]:
    """Run a server of this behaviour on loopback."""
    server = SpeechServer(**behaviour)

    async def answer(request: Request) -> Response:
        return await _answer(server, request)

    with serve(Starlette(routes=[Route("/v1/audio/transcriptions", answer, methods=["POST"])])) as base:
        server.url = f"{base}/v1"
        yield server


async def _answer(server: SpeechServer, request: Request) -> Response:
    if server.key and request.headers.get("authorization") != f"Bearer {server.key}":
        return JSONResponse({"error": {"message": "Incorrect API key"}}, 401)
    if server.failures:
        status = server.failures.pop(0)
        wait = {"Retry-After": str(server.retry_after_s)} if status == 429 and server.retry_after_s is not None else {}
        return JSONResponse({"error": {"message": "busy"}}, status, headers=wait)
    form = await request.form()
    if form["model"] != server.model:
        return JSONResponse({"error": {"message": "no such model"}}, 404)
    with wave.open(io.BytesIO(await form["file"].read())) as wav:  # type: ignore[union-attr]
        duration_s = wav.getnframes() / wav.getframerate()
    granularities = form.getlist("timestamp_granularities[]")
    server.requests.append(
        {name: form[name] for name in form if name != "file"}
        | {"duration_s": duration_s, "granularities": granularities}
    )
    if server.form == "broken":
        return PlainTextResponse("<html>not JSON</html>")
    return JSONResponse(_transcription(server.form, duration_s))


def _transcription(form: str, duration_s: float) -> dict[str, Any]:
    """Two sentences, each over one half of the audio."""
    half_s = duration_s / 2
    answer: dict[str, Any] = {"text": "Xin chào. Tạm biệt.", "language": "vietnamese", "duration": duration_s}
    if form == "text":
        return answer
    answer["segments"] = [
        {"start": 0.0, "end": half_s, "text": " Xin chào.", "avg_logprob": -0.2, "no_speech_prob": 0.01},
        {"start": half_s, "end": duration_s + 0.4, "text": " Tạm biệt.", "avg_logprob": -0.4, "no_speech_prob": 0.02},
    ]
    if form == "phantom":
        answer["segments"][1]["text"] = " Subtitles by the Amara.org community"
    if form == "verbose":
        words = ["Xin", "chào.", "Tạm", "biệt."]
        step_s = duration_s / len(words)
        answer["words"] = [
            {"word": word, "start": index * step_s, "end": (index + 1) * step_s} for index, word in enumerate(words)
        ]
    return answer
