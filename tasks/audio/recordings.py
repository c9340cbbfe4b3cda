"""Find the recordings among files and folders."""

from pathlib import Path

from prefect import task

from blocks.errors import NotFound
from blocks.progress import in_thread
from tasks.audio.probe import media_type_of

SUFFIXES = frozenset(
    [
        ".wav",
        ".mp3",
        ".m4a",
        ".aac",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".webm",
        ".amr",
        ".mp4",
        ".m4b",
        ".mka",
        ".mkv",
        ".mov",
        ".3gp",
        ".wma",
        ".aiff",
    ]
)
"""What recordings are commonly called."""


@task(name="find-recordings")
async def find_recordings(sources: list[str]) -> tuple[list[str], list[str]]:
    """Replace each folder by the recordings in it, in order of their paths; drop repetitions.

    Args:
        sources: Recordings (paths or addresses) and folders.

    Returns:
        The recordings, and the files of the folders that are none. What is named itself is never
        dropped, so that its error is reported.

    Raises:
        NotFound: no source was given, or a folder holds no recording.
    """
    if not sources:
        raise NotFound("no recordings were given", fix="name files, folders or addresses", field="sources")
    recordings: list[str] = []
    ignored: list[str] = []
    for source in sources:
        folder = Path(source)
        if "://" in source or not folder.is_dir():
            recordings.append(source)
            continue
        found, others = await in_thread(recordings_in, folder)
        if not found:
            raise NotFound(f"the folder {source} holds no recordings", fix="name another folder", field="sources")
        recordings += found
        ignored += others
    return list(dict.fromkeys(recordings)), ignored


def recordings_in(folder: Path) -> tuple[list[str], list[str]]:
    """Recordings and other files below the folder; hidden ones and links are passed over.

    The content decides; a file that is only called a recording counts too, so that its damage is reported.
    """
    recordings: list[str] = []
    others: list[str] = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.is_symlink() or not path.is_file():
            continue
        is_recording = path.suffix.lower() in SUFFIXES or media_type_of(path) is not None
        (recordings if is_recording else others).append(str(path))
    return recordings, others
