"""A store in a folder of this machine."""

import hashlib
import os
import shutil
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from blocks.errors import C500Error, Conflict, NotAllowed, NotFound, StoreFailed
from blocks.store.files import FileRef, safe_key
from blocks.store.scratch import Scratch, locked
from blocks.whole_file import sync_folder

OCTETS = "application/octet-stream"
CHUNK_BYTES = 1 << 20
MOVE_TRIES = 20


class LocalFiles:
    """Files under one root folder.

    Layout: what users see lies under its key; `.scratch/` holds temporary files, each locked by
    the process that writes it, `.locks/` the lock files.

    Args:
        root: The folder; made when missing.
    """

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().absolute()
        self._locks = self.root / ".locks"
        try:
            self._scratch = Scratch(self.root / ".scratch")
            self._locks.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFailed(
                f"cannot make the store folder {self.root}: {error.strerror}",
                fix="name a folder you may write to in AUDIO_DIR",
                path=str(self.root),
            ) from error
        self._real_root = self.root.resolve()
        self.sweep()

    def exists(self, key: str) -> bool:
        """Whether the key names a file."""
        return self._path(key).is_file()

    def read_bytes(self, key: str) -> bytes:
        """The whole content. Raises `NotFound`."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """The content from a byte on, as a readable binary stream. Raises `NotFound`."""
        path = self._path(key)
        try:
            stream = path.open("rb")
            stream.seek(start)
            return stream
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise _no_such_file(key) from error

    def put_bytes(self, key: str, content: bytes, media_type: str = OCTETS) -> FileRef:
        """Write the content under the key, replacing what was there."""
        with self.scratch("put") as temporary:
            with _disk_errors(key):
                temporary.write_bytes(content)
            return self.put_file(key, temporary, media_type)

    def put_file(self, key: str, path: Path, media_type: str = OCTETS) -> FileRef:
        """Store a local file under the key; a file made by `scratch` is moved, any other copied."""
        target = self._path(key)
        if path.parent != self._scratch.folder:
            with self.scratch("copy") as temporary, _disk_errors(key):
                shutil.copyfile(path, temporary)
                return self.put_file(key, temporary, media_type)
        with _disk_errors(key):
            digest, size_bytes = _sync_and_hash(path)
            _move(path, target)
            sync_folder(target.parent)
        return FileRef(key=key, sha256=digest, size_bytes=size_bytes, media_type=media_type)

    def copy(self, source: FileRef, key: str) -> FileRef:
        """Give a stored file a second name: a hard link where the file system allows it."""
        target = self._path(key)
        with self.scratch("link") as temporary, _disk_errors(key):
            try:
                os.link(self._path(source.key), temporary)
            except FileNotFoundError as error:
                raise _no_such_file(source.key) from error
            except OSError:  # no hard links on this file system
                shutil.copyfile(self._path(source.key), temporary)
            # rename() of two links to one file does nothing and leaves both, so unlink covers it.
            _move(temporary, target)
        return source.model_copy(update={"key": key})

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Content and version (its hash) for a later `put_if`; None when there is no such file."""
        try:
            content = self.read_bytes(key)
        except NotFound:
            return None
        return content, hashlib.sha256(content).hexdigest()

    def put_if(self, key: str, content: bytes, version: str | None) -> str:
        """Compare-and-swap under the key's lock; returns the new version, raises `Conflict`."""
        with self.lock(f"put-if/{key}"):
            current = self.read_version(key)
            if (current[1] if current else None) != version:
                raise Conflict(f"{key} was changed by someone else", fix="read it again and retry", key=key)
            return self.put_bytes(key, content).sha256

    def list(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted."""
        folder = self._path(prefix.rsplit("/", 1)[0]) if "/" in prefix else self.root
        found = (
            path.relative_to(self.root).as_posix()
            for path in folder.rglob("*")
            if path.is_file() and path.relative_to(self.root).parts[0] not in (".scratch", ".locks")
        )
        yield from sorted(key for key in found if key.startswith(prefix))

    def list_modified(self, prefix: str = "") -> Iterator[tuple[str, datetime]]:
        """As `list`, each key with when it was written, in UTC; one that goes meanwhile is left out."""
        for key in self.list(prefix):
            with suppress(FileNotFoundError):
                yield key, datetime.fromtimestamp((self.root / key).stat().st_mtime, UTC)

    def modified(self, key: str) -> datetime:
        """When the file was written, in UTC. Raises `NotFound`."""
        path = self._path(key)
        if not path.is_file():
            raise _no_such_file(key)
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)

    def delete(self, key: str) -> None:
        """Remove the file; no error when it is gone already. Empty folders above it go too."""
        path = self._path(key)
        path.unlink(missing_ok=True)
        with suppress(OSError):
            for folder in path.parents:
                if folder == self.root:
                    break
                folder.rmdir()

    @contextmanager
    def local(self, key: str) -> Generator[Path]:
        """The file's own path."""
        path = self._path(key)
        if not path.is_file():
            raise _no_such_file(key)
        yield path

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A new temporary file on the store's own disk, so that `put_file` can move it."""
        return self._scratch.file(name)

    def lock(self, key: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Mutual exclusion between the processes of this machine; the kernel frees a dead holder's lock."""
        return locked(self._locks / hashlib.sha256(key.encode()).hexdigest(), wait=wait)

    def uri(self, key: str) -> str:
        """A `file://` address."""
        return self._path(key).as_uri()

    def sweep(self) -> None:
        """Remove the temporary files of processes that have died."""
        self._scratch.sweep()

    def _path(self, key: str) -> Path:
        path = self.root / safe_key(key)
        if not path.resolve().is_relative_to(self._real_root):
            raise NotAllowed(
                f"{key} leads out of the store through a symbolic link",
                fix=f"remove the link under {self.root}",
                key=key,
            )
        return path


def _no_such_file(key: str) -> NotFound:
    return NotFound(f"the store has no file {key}", fix="list the store to see what it holds", key=key)


def _sync_and_hash(path: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK_BYTES):
            digest.update(chunk)
        os.fsync(stream.fileno())
        return digest.hexdigest(), stream.tell()


def _move(path: Path, target: Path) -> None:
    """Give the file its name, in a folder that `delete` of its last file may remove at any moment."""
    for tries_left in reversed(range(MOVE_TRIES)):
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.replace(target)
            return
        except FileNotFoundError:
            if not tries_left or not path.exists():
                raise


@contextmanager
def _disk_errors(key: str) -> Generator[None]:
    try:
        yield
    except C500Error:
        raise
    except OSError as error:
        raise StoreFailed(
            f"cannot write {key}: {error.strerror or error}",
            fix="free disk space or name another folder in AUDIO_DIR",
            key=key,
        ) from error
