"""Speech to segments, whichever engine does it."""

import wave
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from blocks.audio import Speech
from blocks.progress import OnProgress, in_thread, progress
from blocks.residency import loaded
from blocks.speech.protocol import SpeechEngine
from blocks.speech.registry import choose
from blocks.steps import step
from blocks.store import open_store
from blocks.store.files import FileRef, Files
from blocks.transcript import EngineInfo, Segment, Transcript
from tasks.audio.check import check_segments

COPY_FRAMES = 1 << 16


@step("transcribe", version=2, tags=("speech",))
async def transcribe_step(
    folder: str,
    audio: FileRef,
    speech: FileRef,
    engine: EngineInfo,
    language: str | None,
    hints: tuple[str, ...],
) -> FileRef:
    """Write `recognised.json`: what the engine heard, checked against the contract of segments.

    Raises:
        EngineFailed, EngineUnavailable, Unsupported: see `SpeechEngine.transcribe`.
    """
    files = open_store()
    found = Speech.model_validate_json(await in_thread(files.read_bytes, speech.key))
    chosen = choose(engine.name, language)
    if not found.spans:
        empty = Transcript(language=language or "und", segments=(), engine=chosen.info(), duration_s=found.duration_s)
        return await _write(files, folder, empty)
    async with loaded(chosen) as model, progress("transcribe") as on_progress:
        with files.local(audio.key) as path:
            transcript = await in_thread(
                transcribe, path, found, model, language=language, hints=hints, files=files, on_progress=on_progress
            )
    return await _write(files, folder, transcript)


async def _write(files: Files, folder: str, transcript: Transcript) -> FileRef:
    content = transcript.model_dump_json(indent=2).encode()
    return await in_thread(files.put_bytes, f"{folder}/recognised.json", content, "application/json")


def transcribe(
    audio: Path,
    speech: Speech,
    engine: SpeechEngine,
    *,
    language: str | None,
    hints: tuple[str, ...],
    files: Files,
    on_progress: OnProgress,
) -> Transcript:
    """Transcribe a decoded file; each channel of a split call by itself, as a speaker of its own.

    Args:
        audio: 16 kHz PCM16 WAV of one or two channels.
        speech: Its spans with speech, at least one.
        engine: What listens, loaded.
        language: ISO 639-1 code, or None to leave it to the engine.
        hints: Names and terms likely to occur.
        files: Where scratch files for single channels lie.
        on_progress: Called with the share done.

    Raises:
        EngineFailed: the engine failed, or its segments break the contract.
    """
    heard = [
        _channel(audio, speech, channel, engine, language, hints, files, on_progress)
        for channel in range(speech.channels)
        if any(span.channel == channel for span in speech.spans)
    ]
    fullest = max(heard, key=lambda transcript: sum(len(segment.text) for segment in transcript.segments))
    segments = sorted((s for transcript in heard for s in transcript.segments), key=lambda s: s.start_s)
    transcript = Transcript(
        language=fullest.language,
        language_probability=fullest.language_probability,
        segments=tuple(segments),
        engine=fullest.engine,
        duration_s=speech.duration_s,
    )
    check_segments(transcript)
    return transcript


def _channel(
    audio: Path,
    speech: Speech,
    channel: int,
    engine: SpeechEngine,
    language: str | None,
    hints: tuple[str, ...],
    files: Files,
    on_progress: OnProgress,
) -> Transcript:
    spans = [span for span in speech.spans if span.channel == channel]
    with ExitStack() as stack:
        path = audio if speech.channels == 1 else stack.enter_context(one_channel(audio, channel, files))
        transcript = engine.transcribe(
            path,
            spans=spans,
            language=language,
            hints=hints,
            on_progress=lambda share: on_progress((channel + share) / speech.channels),
        )
    if speech.channels == 1:
        return transcript
    named = tuple(_spoken_by(segment, f"Speaker {channel + 1}") for segment in transcript.segments)
    return transcript.model_copy(update={"segments": named})


def _spoken_by(segment: Segment, speaker: str) -> Segment:
    return segment.model_copy(update={"speaker": speaker})


@contextmanager
def one_channel(audio: Path, channel: int, files: Files) -> Generator[Path]:
    """One channel of a WAV file as a mono file, in constant memory; removed after the block."""
    import numpy as np

    with files.scratch("channel.wav") as target:
        with wave.open(str(audio), "rb") as source, wave.open(str(target), "wb") as mono:
            mono.setparams(source.getparams()._replace(nchannels=1, nframes=0))
            while content := source.readframes(COPY_FRAMES):
                samples = np.frombuffer(content, np.int16).reshape(-1, source.getnchannels())
                mono.writeframesraw(np.ascontiguousarray(samples[:, channel]).tobytes())
        yield target
