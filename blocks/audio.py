"""What is known about a recording."""

from typing import Literal

from pydantic import Field

from blocks.model import Frozen

SAMPLE_RATE_HZ = 16_000
"""The one rate of all decoded audio: what Silero VAD, Sphinx, Whisper and ChunkFormer take."""

Channels = Literal["mix", "split"]


class AudioInfo(Frozen):
    """The recording as its container describes it.

    Attributes:
        duration_s: Length in seconds; None when the container does not say (streams, some AMR).
        sample_rate_hz: Rate of the coded audio.
        channels: Number of coded channels.
        codec: Name of the codec, as FFmpeg knows it (`mp3`, `aac`, `pcm_s16le`).
        container: Name of the container, as FFmpeg knows it (`wav`, `mov,mp4,m4a`).
        media_type: MIME type by content.
    """

    duration_s: float | None = Field(default=None, ge=0)
    sample_rate_hz: int = Field(gt=0)
    channels: int = Field(gt=0)
    codec: str
    container: str
    media_type: str


class Span(Frozen):
    """A stretch of speech on one channel, in seconds from the start."""

    start_s: float = Field(ge=0)
    end_s: float = Field(ge=0)
    channel: int = 0

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return self.end_s - self.start_s


class Speech(Frozen):
    """Where there is speech in a recording.

    Attributes:
        duration_s: Length of the decoded audio.
        channels: Number of decoded channels (2 only for `channels=split`).
        spans: Stretches of speech in order of start.
        coverage: Seconds with speech on any channel / duration, 0 to 1.
        threshold: The speech probability above which a window counted as speech.
    """

    duration_s: float = Field(ge=0)
    channels: int = Field(default=1, ge=1)
    spans: tuple[Span, ...] = ()
    coverage: float = Field(default=0.0, ge=0, le=1)
    threshold: float = 0.5
