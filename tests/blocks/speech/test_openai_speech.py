"""The transcription-server engine, against our simulator over real HTTP."""

import wave
from pathlib import Path

import pytest

from blocks.audio import Span
from blocks.errors import EngineFailed, EngineUnavailable
from blocks.settings import settings
from blocks.speech.openai import PIECE_S, OpenAISpeechEngine, pieces
from blocks.transcript import Transcript
from tasks.audio.check import check_segments
from tests.fakes.speech import SpeechServer, serve_speech


@pytest.fixture
def minute(tmp_path: Path) -> Path:
    path = tmp_path / "minute.wav"
    with wave.open(str(path), "wb") as wav:
        wav.setparams((1, 2, 16_000, 0, "NONE", ""))
        wav.writeframes(bytes(2 * 16_000 * 60))
    return path


def heard(
    server: SpeechServer,
    audio: Path,
    monkeypatch: pytest.MonkeyPatch,
    spans: tuple[Span, ...] = (Span(start_s=10, end_s=20),),
    **options: object,
) -> Transcript:
    monkeypatch.setenv("OPENAI_SPEECH_URL", server.url)
    monkeypatch.setenv("OPENAI_SPEECH_API_KEY", "sk-right")
    settings.cache_clear()
    asked = {"language": None, "hints": (), "on_progress": lambda share: None} | options
    with OpenAISpeechEngine() as engine:
        return engine.transcribe(audio, spans=spans, **asked)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", ["verbose", "segments", "text"])
def test_times_are_those_of_the_recording(minute: Path, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    with serve_speech(form=form) as server:
        transcript = heard(server, minute, monkeypatch)
    check_segments(transcript)
    assert transcript.language == "vi"
    assert transcript.segments[0].start_s == 10
    assert transcript.segments[-1].end_s == 20
    assert transcript.text.split() == ["Xin", "chào.", "Tạm", "biệt."]
    words = [word.text for segment in transcript.segments for word in segment.words]
    assert words == (["Xin", "chào.", "Tạm", "biệt."] if form == "verbose" else [])


def test_language_hints_and_granularity_are_asked_for(minute: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_speech() as server:
        heard(server, minute, monkeypatch, language="vi", hints=("Hà Nội", "C500"))
    asked = server.requests[0]
    assert (asked["language"], asked["prompt"]) == ("vi", "Hà Nội, C500")
    assert asked["granularities"] == ["word", "segment"]


def test_long_audio_goes_in_pieces_cut_between_spans(minute: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import blocks.speech.openai

    monkeypatch.setattr(blocks.speech.openai, "PIECE_S", 25.0)
    spans = tuple(Span(start_s=start, end_s=start + 9) for start in range(0, 60, 10))
    with serve_speech() as server:
        transcript = heard(server, minute, monkeypatch, spans)
    check_segments(transcript)
    assert [request["duration_s"] for request in server.requests] == pytest.approx([19, 19, 19])
    assert server.requests[1]["language"] == "vi", "what the first piece was found to be"


def test_pieces_hold_every_span_and_none_is_too_long() -> None:
    spans = [Span(start_s=start, end_s=start + 29) for start in range(0, 7200, 30)]
    cut = pieces(spans)
    assert all(end_s - start_s <= PIECE_S for start_s, end_s in cut)
    assert all(any(start_s <= span.start_s and span.end_s <= end_s for start_s, end_s in cut) for span in spans)


def test_a_busy_server_is_waited_for(minute: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_speech(failures=[429]) as server:
        assert heard(server, minute, monkeypatch).segments


@pytest.mark.parametrize("failures", [[500], [429, 429], [503]])
def test_a_server_that_stays_away_is_a_transient_error(
    minute: Path, monkeypatch: pytest.MonkeyPatch, failures: list[int]
) -> None:
    with serve_speech(failures=failures) as server, pytest.raises(EngineUnavailable):
        heard(server, minute, monkeypatch)


def test_no_server_is_a_transient_error(minute: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailable, match="reached"):
        heard(SpeechServer(url="http://127.0.0.1:9/v1"), minute, monkeypatch)


def test_a_wrong_key_is_named_and_never_shown(minute: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_speech(key="sk-other") as server, pytest.raises(EngineFailed) as caught:
        heard(server, minute, monkeypatch)
    assert "OPENAI_SPEECH_API_KEY" in caught.value.fix
    assert "sk-right" not in f"{caught.value} {caught.value.details}"


@pytest.mark.parametrize("behaviour", [{"form": "broken"}, {"model": "other"}])
def test_a_useless_answer_is_a_typed_error(
    minute: Path, monkeypatch: pytest.MonkeyPatch, behaviour: dict[str, str]
) -> None:
    with serve_speech(**behaviour) as server, pytest.raises(EngineFailed):
        heard(server, minute, monkeypatch)
