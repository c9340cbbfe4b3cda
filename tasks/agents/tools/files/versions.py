"""What a file was before an agent wrote it, so that it can be brought back."""

import hashlib
import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from blocks.errors import Conflict, NotFound, StoreFailed, TooLarge
from blocks.model import Frozen
from blocks.trash import Trash
from blocks.whole_file import sync_folder, write_whole
from blocks.workspace import Workspace

VERSION_ID = re.compile(r"v[0-9a-f]{16}")
RECORD, CONTENT = "version.json", "content"
MOST_BYTES = 16 << 20


class Version(Frozen):
    """What a file was before a write.

    Attributes:
        version_id: Names it; made of the effect that wrote.
        root: Real path of the workspace.
        name: Of the file in it.
        before: SHA-256 of its content before, hexadecimal; None where there was no such file.
        after: SHA-256 of what was written.
        at: When.
    """

    version_id: str
    root: str
    name: str
    before: str | None
    after: str
    at: datetime


class Versions:
    """Earlier contents of files, in a folder.

    Args:
        folder: Where; agents must not reach it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def before(self, workspace: Workspace, name: str) -> bytes | None:
        """What is in a file that is to be written; None where there is none.

        Raises:
            TooLarge: it is too large to be kept.
        """
        try:
            size = workspace.stat(name).size_bytes
        except NotFound:
            return None
        if size > MOST_BYTES:
            raise TooLarge(
                f"{name!r:.200} has {size} bytes, which are too many to be kept for undoing",
                fix="delete it first with delete_file, from where it can be restored; or change it with run_command",
                field="path",
            )
        return workspace.read_bytes(name, most=MOST_BYTES)

    def known(self, effect_id: str) -> Version | None:
        """What an earlier attempt of the same effect kept."""
        try:
            return self.read(version_id_of(effect_id))
        except NotFound:
            return None

    def write(self, workspace: Workspace, name: str, before: bytes | None, after: bytes, effect_id: str) -> Version:
        """Keep what a file was, then write it; again is as once.

        Raises:
            As `Workspace.write`.
        """
        real = workspace.resolve(name, writing=True)  # refused before anything is kept
        version = self.known(effect_id)
        if version is None:
            version = Version(
                version_id=version_id_of(effect_id),
                root=str(workspace.root),
                name=str(real.relative_to(workspace.root)),
                before=None if before is None else digest(before),
                after=digest(after),
                at=datetime.now(UTC),
            )
            self._keep(version, before or b"")
        workspace.write(name, after)
        return version

    def restore(self, workspace: Workspace, trash: Trash, version_id: str) -> Version:
        """Bring a file back to what it was before a write. A file that was new goes into the trash.

        Raises:
            NotFound: there is no such version of this workspace.
            Conflict: the file was changed since.
        """
        version = self.read(version_id)
        if version.root != str(workspace.root):
            raise _unknown(version_id)
        now = self.before(workspace, version.name)
        if (None if now is None else digest(now)) == version.before:
            return version  # it is that already
        if now is None or digest(now) != version.after:
            raise Conflict(
                f"{version.name!r:.200} was changed or deleted since",
                fix="read it, and make the change that you want with edit_file or write_file",
            )
        if version.before is None:
            trash.put(workspace, version.name)
        else:
            workspace.write(version.name, self._content(version_id))
        return version

    def read(self, version_id: str) -> Version:
        """A version. Raises `NotFound`, `StoreFailed`."""
        if not VERSION_ID.fullmatch(version_id):
            raise _unknown(version_id)
        try:
            return Version.model_validate_json((self._folder / version_id / RECORD).read_bytes())
        except FileNotFoundError:
            raise _unknown(version_id) from None
        except (OSError, ValidationError) as error:
            raise _damaged(version_id) from error

    def purge(self, older_than_s: float) -> int:
        """Forget versions that are older, in seconds; how many they were."""
        if not self._folder.is_dir():
            return 0
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        old = [path for path in self._folder.iterdir() if datetime.fromtimestamp(path.stat().st_mtime, UTC) < before]
        for path in old:
            shutil.rmtree(path)
        return len(old)

    def _keep(self, version: Version, content: bytes) -> None:
        place = self._folder / version.version_id
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(place / CONTENT, content)
            write_whole(place / RECORD, version.model_dump_json().encode())
            sync_folder(self._folder)
        except OSError as error:
            raise StoreFailed(
                f"what {version.name!r:.200} was cannot be kept: {error.strerror}", fix="ask the operator to free space"
            ) from error

    def _content(self, version_id: str) -> bytes:
        try:
            return (self._folder / version_id / CONTENT).read_bytes()
        except OSError as error:
            raise _damaged(version_id) from error


def version_id_of(effect_id: str) -> str:
    """The id of what an effect overwrites."""
    return f"v{hashlib.sha256(effect_id.encode()).hexdigest()[:16]}"


def digest(content: bytes) -> str:
    """SHA-256, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _unknown(version_id: str) -> NotFound:
    return NotFound(f"there is no version {version_id!r:.50} of this workspace", fix="use the id that a write gave")


def _damaged(version_id: str) -> StoreFailed:
    return StoreFailed(f"version {version_id} cannot be read", fix="ask the operator to look at the disk")
