"""Find the recordings among files and folders."""

from pathlib import Path

from prefect import task

from blocks.errors import NotFound
from blocks.progress import in_thread
from tasks.audio.probe import media_type_of


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
            raise NotFound(
                f"the folder {source} holds no recordings", fix="name another folder", field="sources"
            )
        recordings += found
        ignored += others
    return list(dict.fromkeys(recordings)), ignored


def recordings_in(folder: Path) -> tuple[list[str], list[str]]:
    """Recordings and other files below the folder, by content; hidden ones and links are passed over."""
    recordings: list[str] = []
    others: list[str] = []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or path.is_symlink() or not path.is_file():
            continue
        (recordings if media_type_of(path) else others).append(str(path))
    return recordings, others
