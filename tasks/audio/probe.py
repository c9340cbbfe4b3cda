"""What a file is, by its content."""

from pathlib import Path
from typing import Any

from blocks.audio import AudioInfo
from blocks.errors import BadAudio, TooLarge

MEDIA_TYPES = {
    "wav": "audio/wav",
    "w64": "audio/wav",
    "mp3": "audio/mpeg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "amr": "audio/amr",
    "aiff": "audio/aiff",
    "mov,mp4,m4a,3gp,3g2,mj2": "audio/mp4",
    "matroska,webm": "audio/webm",
    "mpegts": "video/mp2t",
    "avi": "video/x-msvideo",
    "asf": "audio/x-ms-wma",
    "caf": "audio/x-caf",
}
"""FFmpeg's container names we take, with their MIME types. Playlists and image formats are left out on
purpose: a playlist could make the demuxer open other files and addresses."""

MAX_CHANNELS = 64
MAX_RATE_HZ = 768_000
PACKETS_TRIED = 200


def probe(path: Path, *, max_duration_s: float) -> AudioInfo:
    """Open the file, decode one frame of its first audio stream, and say what it is.

    Args:
        path: A local file.
        max_duration_s: Longest recording taken, in seconds.

    Raises:
        BadAudio: empty, no known container, no audio stream, or nothing to decode in it.
        TooLarge: longer than `max_duration_s` by its own account.
    """
    if path.stat().st_size == 0:
        raise BadAudio("the file is empty", fix="record or copy it again")
    with open_audio(path) as container:
        stream = container.streams.audio[0]
        _decode_one_frame(container, stream)
        info = _info(container, stream)
    if info.duration_s is not None and info.duration_s > max_duration_s:
        raise too_long(info.duration_s, max_duration_s)
    return info


def media_type_of(path: Path) -> str | None:
    """MIME type of a recording, None when the file is none; its audio need not be sound."""
    try:
        with open_audio(path) as container:
            return MEDIA_TYPES[container.format.name]
    except (BadAudio, OSError):
        return None


def open_audio(path: Path) -> Any:
    """Open a container of a known kind with an audio stream; the caller closes it.

    Raises:
        BadAudio: it is none.
    """
    import av.error

    try:
        # By descriptor: a name could otherwise be taken for an address, and its ending for the format.
        # FFmpeg keeps a duplicate. Nothing but this file is opened, whatever it refers to.
        with path.open("rb") as file:
            options = {"fd": str(file.fileno()), "protocol_whitelist": "fd", "enable_drefs": "0"}
            container: Any = av.open("fd:", options=options)
    except (av.error.FFmpegError, ValueError, UnicodeError) as error:
        raise BadAudio(
            "the file is not a recording in a known format",
            fix="give WAV, MP3, M4A, FLAC, OGG, Opus, WebM, AMR or MP4",
        ) from error
    try:
        if container.format.name not in MEDIA_TYPES:
            raise BadAudio(
                f"{container.format.long_name} files are not taken",
                fix="give WAV, MP3, M4A, FLAC, OGG, Opus, WebM, AMR or MP4",
            )
        if not container.streams.audio:
            raise BadAudio("the file has no audio stream", fix="give a file with sound")
        stream = container.streams.audio[0]
        if stream.codec_context is None:
            raise BadAudio("the sound is coded in a way FFmpeg does not know", fix="convert it to WAV, MP3 or M4A")
        rate_hz, channels = stream.rate or 0, stream.channels or 0
        if not (0 < rate_hz <= MAX_RATE_HZ and 0 < channels <= MAX_CHANNELS):
            raise BadAudio(f"the header claims {channels} channels at {rate_hz} Hz", fix="record or convert it again")
    except BaseException:
        container.close()
        raise
    return container


def too_long(duration_s: float, max_duration_s: float) -> TooLarge:
    """The error for a recording over the duration limit."""
    return TooLarge(
        f"the recording is {duration_s:.0f} s long; the limit is {max_duration_s:.0f} s",
        fix="split it, or raise MAX_DURATION_S",
        duration_s=duration_s,
    )


def _decode_one_frame(container: Any, stream: Any) -> None:
    import av.error

    nothing = BadAudio("no sound can be decoded from the file", fix="it is cut off or damaged: copy it again")
    try:
        for tried, packet in enumerate(container.demux(stream)):
            try:
                if packet.decode():
                    return
            except av.error.FFmpegError:
                pass  # a damaged packet; the next may be whole
            if tried >= PACKETS_TRIED:
                break
    except av.error.FFmpegError as error:
        raise nothing from error
    raise nothing


def _duration_s(container: Any, stream: Any) -> float | None:
    """Length by the header, but not more than uncompressed sound of this size can have."""
    duration_s = 0.0
    if stream.duration and stream.time_base:
        duration_s = float(stream.duration * stream.time_base)
    elif container.duration:
        duration_s = container.duration / 1_000_000
    if stream.codec_context.name.startswith("pcm_") and stream.codec_context.bit_rate:
        duration_s = min(duration_s, container.size * 8 / stream.codec_context.bit_rate)
    return duration_s if duration_s > 0 else None


def _info(container: Any, stream: Any) -> AudioInfo:
    return AudioInfo(
        duration_s=_duration_s(container, stream),
        sample_rate_hz=stream.rate,
        channels=stream.channels,
        codec=stream.codec_context.name,
        container=container.format.name,
        media_type=MEDIA_TYPES[container.format.name],
    )
