"""Any server with `/v1/audio/transcriptions` as a speech engine."""

import io
import math
import time
import wave
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from blocks.audio import SAMPLE_RATE_HZ, Span
from blocks.errors import EngineFailed, EngineUnavailable
from blocks.http import wait_asked_s
from blocks.progress import OnProgress
from blocks.settings import settings
from blocks.transcript import EngineInfo, Segment, Transcript, Word

if TYPE_CHECKING:
    import httpx

PIECE_S = 600.0
"""Longest piece sent at once: 19.2 MB of PCM16, under the 25 MB that OpenAI's own server takes."""

LANGUAGES = {
    "english": "en", "vietnamese": "vi", "chinese": "zh", "german": "de", "spanish": "es", "russian": "ru",
    "korean": "ko", "french": "fr", "japanese": "ja", "portuguese": "pt", "turkish": "tr", "polish": "pl",
    "dutch": "nl", "arabic": "ar", "swedish": "sv", "italian": "it", "indonesian": "id", "hindi": "hi",
    "finnish": "fi", "hebrew": "he", "ukrainian": "uk", "greek": "el", "malay": "ms", "czech": "cs",
    "romanian": "ro", "danish": "da", "hungarian": "hu", "thai": "th", "khmer": "km", "lao": "lo",
}  # fmt: skip
"""Servers of Whisper name the language they detected; others give its code."""


class OpenAISpeechEngine:
    """Transcription over HTTP: long audio in pieces cut at pauses, times and words as the server gives them.

    Server, key and model are the settings OPENAI_SPEECH_URL, …_API_KEY and …_MODEL.
    """

    def __init__(self) -> None:
        chosen = settings()
        self._url = str(chosen.openai_speech_url).rstrip("/")
        self._key = chosen.openai_speech_api_key
        self._model = chosen.openai_speech_model
        self._timeout_s = chosen.engine_timeout_s
        self._client: httpx.Client | None = None

    def info(self) -> EngineInfo:
        """Name, protocol version, model and server."""
        return EngineInfo(name="openai", version="v1", model=self._model, settings={"url": self._url})

    def load(self) -> None:
        """Open the connections."""
        import httpx

        if self._client is None:
            headers = {"Authorization": f"Bearer {self._key.get_secret_value()}"} if self._key else {}
            self._client = httpx.Client(headers=headers, timeout=self._timeout_s, trust_env=False)

    def unload(self) -> None:
        """Close the connections."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def __enter__(self) -> Self:
        self.load()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.unload()

    def transcribe(
        self,
        audio: Path,
        *,
        spans: Sequence[Span],
        language: str | None,
        hints: Sequence[str],
        on_progress: OnProgress,
    ) -> Transcript:
        """Send the audio piece by piece; see `SpeechEngine.transcribe`."""
        self.load()
        segments: list[Segment] = []
        spoken = language
        with wave.open(str(audio), "rb") as wav:
            duration_s = wav.getnframes() / SAMPLE_RATE_HZ
            for start_s, end_s in pieces(spans):
                answer = self._ask(_wav_piece(wav, start_s, end_s), spoken, hints)
                spoken = spoken or _language_of(answer)
                segments += segments_of(answer, start_s, end_s)
                on_progress(end_s / duration_s)
        return Transcript(language=spoken or "und", segments=tuple(segments), engine=self.info(), duration_s=duration_s)

    def _ask(self, content: bytes, language: str | None, hints: Sequence[str]) -> dict[str, Any]:
        form: dict[str, Any] = {
            "model": self._model,
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word", "segment"],
            "temperature": "0",
        }
        if language:
            form["language"] = language
        if hints:
            form["prompt"] = ", ".join(hints)
        response = self._post(form, content)
        _raise_for(response, self._model)
        try:
            answer = response.json()
        except ValueError as error:
            raise _malformed() from error
        if not isinstance(answer, dict) or not isinstance(answer.get("text"), str):  # pyright: ignore[reportUnknownMemberType]
            raise _malformed()
        return cast(dict[str, Any], answer)

    def _post(self, form: dict[str, Any], content: bytes) -> "httpx.Response":
        """Post, waiting once where the server says how long."""
        import httpx

        if self._client is None:
            raise EngineFailed("the speech engine is not loaded", fix="use it as a context manager")
        url = f"{self._url}/audio/transcriptions"
        try:
            response = self._client.post(url, data=form, files={"file": ("audio.wav", content, "audio/wav")})
            if (wait_s := wait_asked_s(response)) is not None:
                time.sleep(wait_s)
                response = self._client.post(url, data=form, files={"file": ("audio.wav", content, "audio/wav")})
        except httpx.TransportError as error:
            raise EngineUnavailable(
                f"the speech server {self._url} cannot be reached: {error or type(error).__name__}",
                fix="start it, or correct OPENAI_SPEECH_URL",
            ) from error
        return response


def pieces(spans: Sequence[Span]) -> list[tuple[float, float]]:
    """Stretches of at most PIECE_S seconds that together hold all spans, cut between spans."""
    cut: list[tuple[float, float]] = []
    for span in spans:
        if cut and span.end_s - cut[-1][0] <= PIECE_S:
            cut[-1] = (cut[-1][0], span.end_s)
        else:
            cut.append((span.start_s, span.end_s))
    return cut


def segments_of(answer: dict[str, Any], start_s: float, end_s: float) -> list[Segment]:
    """The segments of an answer, shifted to the start of its piece and kept within it and in order.

    A server that gives the text alone has it as one segment.
    """
    given: list[dict[str, Any]] = answer.get("segments") or [
        {"start": 0.0, "end": end_s - start_s, "text": answer["text"]}
    ]
    words: list[dict[str, Any]] = answer.get("words") or []
    segments: list[Segment] = []
    try:
        for item in given:
            first = segments[-1].end_s if segments else start_s
            begins = min(max(start_s + float(item["start"]), first), end_s)
            ends = min(max(start_s + float(item["end"]), begins), end_s)
            text = " ".join(str(item["text"]).split())
            if text and ends > begins:
                segments.append(_segment(item, text, begins, ends, start_s, item.get("words") or words))
    except (KeyError, TypeError, ValueError) as error:
        raise _malformed() from error
    return segments


def _segment(
    item: dict[str, Any], text: str, begins: float, ends: float, shift_s: float, words: list[dict[str, Any]]
) -> Segment:
    own = [
        Word(
            start_s=round(max(shift_s + float(word["start"]), begins), 3),
            end_s=round(min(max(shift_s + float(word["end"]), begins), ends), 3),
            text=str(word["word"]).strip(),
            probability=min(max(float(word.get("probability", 1.0)), 0.0), 1.0),
        )
        for word in words
        if begins <= shift_s + (float(word["start"]) + float(word["end"])) / 2 < ends
    ]
    logprob, silence = item.get("avg_logprob"), item.get("no_speech_prob")
    return Segment(
        start_s=round(begins, 3),
        end_s=round(ends, 3),
        text=text,
        words=tuple(own),
        avg_logprob=min(float(logprob), 0.0) if logprob is not None and math.isfinite(logprob) else None,
        no_speech_prob=min(max(float(silence), 0.0), 1.0) if silence is not None else None,
    )


def _wav_piece(wav: wave.Wave_read, start_s: float, end_s: float) -> bytes:
    first = round(start_s * SAMPLE_RATE_HZ)
    wav.setpos(first)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as piece:
        piece.setparams(wav.getparams()._replace(nframes=0))
        piece.writeframes(wav.readframes(round(end_s * SAMPLE_RATE_HZ) - first))
    return stream.getvalue()


def _language_of(answer: dict[str, Any]) -> str | None:
    named = str(answer.get("language") or "").lower()
    return LANGUAGES.get(named, named if len(named) in (2, 3) else None)


def _raise_for(response: "httpx.Response", model: str) -> None:
    """The typed error for a refusal; never with the request, which holds the key."""
    status = response.status_code
    if status < 400:
        return
    if status in (401, 403):
        raise EngineFailed("the speech server refuses the key", fix="correct OPENAI_SPEECH_API_KEY")
    if status == 404:
        raise EngineFailed(
            f"the speech server knows no model {model!r}, or the address is wrong",
            fix="correct OPENAI_SPEECH_MODEL and OPENAI_SPEECH_URL (it ends in /v1)",
        )
    if status in (408, 409, 429) or status >= 500:
        raise EngineUnavailable(f"the speech server answers {status}", fix="try again later")
    raise EngineFailed(f"the speech server answers {status}: {response.text[:200]}", fix="check model and server")


def _malformed() -> EngineFailed:
    return EngineFailed(
        "the speech server answered with something else than a transcription",
        fix="check that OPENAI_SPEECH_URL ends in /v1 and is a transcription server",
    )
