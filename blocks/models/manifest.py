"""What a model's folder must hold: written when a pull has ended, so that its presence means complete."""

import hashlib
import os
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, Field, ValidationError

from blocks.errors import StoreFailed
from blocks.model import Frozen

MANIFEST = "c500-manifest.json"
BLOCK_BYTES = 1 << 20


def safe_path(path: str) -> str:
    """The path when it stays within its folder and is not the manifest's own. Raises ValueError."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\\" in path or "\0" in path or path == MANIFEST:
        raise ValueError(f"{path!r} is no path within a model")
    return path


class Digest(Frozen):
    """A file's size in bytes and its hashes: its own, and the one git names it by."""

    size_bytes: int
    sha256: str
    git_sha1: str


class ModelFile(Frozen):
    """One file of a model; the path is relative to the model's folder, with `/`."""

    path: Annotated[str, AfterValidator(safe_path)]
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Manifest(Frozen):
    """Exactly which files a pulled model consists of.

    Attributes:
        name: As it was asked for.
        repo: Repository on the hub, `org/name`.
        revision: Commit of the repository; for a folder without commits the hash over its files.
        files: All files, sorted by path.
        pulled_at: When the pull ended.
    """

    name: str
    repo: str
    revision: str
    files: tuple[ModelFile, ...]
    pulled_at: AwareDatetime

    @property
    def sha256(self) -> str:
        """Hash over the names and hashes of all files."""
        return hash_of_files({file.path: file.sha256 for file in self.files})

    @property
    def size_bytes(self) -> int:
        """Bytes of all files together."""
        return sum(file.size_bytes for file in self.files)

    def verify(self, folder: Path) -> list[str]:
        """Read and hash every file; one line for each that is missing, of wrong size or of wrong content."""
        found = ((file.path, _problem(folder / file.path, file)) for file in self.files)
        return [f"{path}: {problem}" for path, problem in found if problem]


def _problem(path: Path, file: ModelFile) -> str | None:
    size_bytes = _size(path)
    if size_bytes is None:
        return "missing"
    if size_bytes != file.size_bytes:
        return f"has {size_bytes:,} bytes instead of {file.size_bytes:,}"
    try:
        return None if digest(path).sha256 == file.sha256 else "its content has changed"
    except OSError as error:
        return f"cannot be read: {error.strerror}"


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def hash_of_files(sha256_of: dict[str, str]) -> str:
    """One hash over the names and hashes of files, whatever their order."""
    lines = "".join(f"{sha256_of[path]}  {path}\n" for path in sorted(sha256_of))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest(path: Path) -> Digest:
    """Read a file once, block by block, and hash it. Raises OSError."""
    size_bytes = path.stat().st_size
    sha256 = hashlib.sha256()
    # Git names a blob by the hash over this header and the content; not used for secrecy.
    git_sha1 = hashlib.sha1(f"blob {size_bytes}\0".encode(), usedforsecurity=False)
    with path.open("rb") as stream:
        while block := stream.read(BLOCK_BYTES):
            sha256.update(block)
            git_sha1.update(block)
    return Digest(size_bytes=size_bytes, sha256=sha256.hexdigest(), git_sha1=git_sha1.hexdigest())


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a model's folder; None when there is none.

    Raises:
        StoreFailed: it cannot be read or is damaged.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreFailed(f"cannot read {path}: {error.strerror}", fix="make it readable for this user") from error
    except ValidationError as error:
        raise StoreFailed(
            f"{path} is damaged", fix="pull the model again; files that are well are kept", path=str(path)
        ) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest in one step, so that a reader sees all of it or none. Raises OSError."""
    temporary = folder / f".{MANIFEST}.new"
    with temporary.open("wb") as stream:
        stream.write(manifest.model_dump_json(indent=2).encode())
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(folder / MANIFEST)


def describe(name: str, repo: str, revision: str, digests: dict[str, Digest], pulled_at: datetime) -> Manifest:
    """The manifest of files that were hashed."""
    files = tuple(
        ModelFile(path=path, size_bytes=digests[path].size_bytes, sha256=digests[path].sha256)
        for path in sorted(digests)
    )
    return Manifest(name=name, repo=repo, revision=revision, files=files, pulled_at=pulled_at)
