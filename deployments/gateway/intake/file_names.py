"""Names that clients give their files: made safe to store, and asked what kind of file they promise."""

import unicodedata
from pathlib import PurePosixPath

from deployments.gateway.web.problems import UnsupportedFormat
from tasks.audio.probe import MEDIA_TYPES
from tasks.audio.recordings import SUFFIXES

NAMELESS = "recording"
MAX_NAME_BYTES = 120
PLAIN = frozenset(" ._-()[]+,&'@=!~")
"""What a name keeps besides letters, marks and digits; `%`, `?` and `#` would mean something in an address."""

EXTENSIONS = SUFFIXES | {
    *(".wave", ".w64", ".aif", ".aifc", ".caf", ".mp2", ".mpga", ".m4r", ".weba", ".asf", ".wmv"),
    *(".3ga", ".3g2", ".mj2", ".m4v", ".mpeg", ".mpg", ".ts", ".mts", ".avi", ".flv"),
}
"""What files with sound are called that the decoder opens."""

TYPES = frozenset(MEDIA_TYPES.values()) | {"application/ogg", "application/mp4", "application/x-matroska"}
KINDS = ("audio/", "video/")
UNTOLD = ("", "application/octet-stream", "binary/octet-stream")
"""What HTTP libraries send when they do not know."""


def safe_name(given: str) -> str:
    """A plain file name out of what a client gave: no path, no control or direction characters, not too long."""
    last = unicodedata.normalize("NFC", given).replace("\\", "/").rsplit("/", 1)[-1]
    kept = "".join(char if unicodedata.category(char)[0] in "LMN" or char in PLAIN else "_" for char in last)
    name = kept.strip(" .") or NAMELESS
    stem, suffix = _cut(PurePosixPath(name).stem, MAX_NAME_BYTES), PurePosixPath(name).suffix
    return stem + suffix if len(suffix) <= 8 else _cut(name, MAX_NAME_BYTES)


def check_format(name: str, media_type: str) -> None:
    """Refuse what is certainly no recording: neither its ending nor its type is one's. The job looks at the content.

    Raises:
        UnsupportedFormat: with the details that older clients read.
    """
    extension = PurePosixPath(name).suffix.lower()
    told = media_type.startswith(KINDS) or media_type in TYPES
    if extension in EXTENSIONS or told or (not extension and media_type in UNTOLD):
        return
    raise UnsupportedFormat(
        f"{name!r} is no recording by its name or type",
        fix="give WAV, MP3, M4A, FLAC, OGG, Opus, WebM, AMR, MP4 or another file with sound",
        filename=name,
        extension=extension,
        mime_type=media_type,
        allowed_extensions=sorted(EXTENSIONS),
        allowed_mime_types=sorted(TYPES),
    )


def _cut(text: str, max_bytes: int) -> str:
    return text.encode()[:max_bytes].decode(errors="ignore").rstrip(" .")
