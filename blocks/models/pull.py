"""Bring a model to this machine: the one part of C500 that asks the network for weights.

Every file is fetched beside the model's folder, checked against the hash its source gives, and moved
in only when all are there; the manifest comes last. A pull that is cut off at any point goes on where
it stopped, and until the last moment the revision that was here before stays usable.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from blocks.errors import BadInput, EngineUnavailable, StoreFailed
from blocks.models.catalogue import lookup
from blocks.models.hub import Hub, Listing, OnBytes, RemoteFile
from blocks.models.locate import PULLING, folder_name, folder_of, models_dir
from blocks.models.manifest import MANIFEST, Digest, Manifest, describe, digest, read_manifest, write_manifest
from blocks.models.mirror import Folder
from blocks.progress import OnProgress
from blocks.store.scratch import locked


class Source(Protocol):
    """Where models come from."""

    place: str
    """What errors call it."""

    def list_files(self, repo: str, revision: str, patterns: tuple[str, ...]) -> Listing:
        """The files of a revision that match a pattern. Raises `NotFound` and what the source's trouble is."""
        ...

    def fetch(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        """Append to the existing `part` what it lacks of the file; what is there already is not asked for again."""
        ...


def pull(
    name: str, *, revision: str = "main", mirror: str | None = None, on_progress: OnProgress | None = None
) -> Manifest:
    """Fetch a model into MODELS_DIR, or go on with a pull that was cut off.

    What is here already is read and hashed every time, so that a repeat mends a damaged model.

    Args:
        name: Short name or hub name (`org/name`).
        revision: Branch, tag or commit.
        mirror: A hub-compatible server's URL, or a folder that holds `org/name/…` or a copy of a
            MODELS_DIR; None or empty is the hub.
        on_progress: Takes the share of bytes that is here and checked or has come; may raise `Stopped`.

    Raises:
        NotFound: no such model, revision or folder.
        NotAllowed: the repository asks for a licence or a token, or HF_HUB_OFFLINE forbids the network.
        EngineUnavailable: the source cannot be reached, or a file came damaged; a repeat goes on.
        Unsupported: a file is larger than the hub's client can fetch.
        StoreFailed: too little disk space, or MODELS_DIR cannot be written.
    """
    model = lookup(name)
    source = _source(mirror)
    folder = folder_of(model.repo)
    with _disk_errors(), _only_pull_of(model.repo):
        known = _known(folder)
        if known is not None and known.revision == revision and not known.verify(folder):
            return known
        listing = source.list_files(model.repo, revision, model.files)
        ready = _fetch_all(source, listing, folder, _counted(listing, on_progress))
        if known is not None and known.revision == listing.revision and _is_true(known, ready):
            return known
        return _install(name, listing, folder, ready, known)


@dataclass(frozen=True)
class _Ready:
    """A file that is here and was checked: in its place already, or still a part."""

    digest: Digest
    part: Path | None


def _known(folder: Path) -> Manifest | None:
    """The manifest of what is here; None for a damaged one, which sends every file through the check of its hash."""
    try:
        return read_manifest(folder)
    except StoreFailed:
        return None


def _is_true(known: Manifest, ready: dict[str, _Ready]) -> bool:
    """Whether every file lies in its place, as the manifest has it."""
    said = {file.path: file.sha256 for file in known.files}
    in_place = {path: file.digest.sha256 for path, file in ready.items() if file.part is None}
    return said == in_place and len(in_place) == len(ready)


def _fetch_all(source: Source, listing: Listing, folder: Path, on_bytes: OnBytes) -> dict[str, _Ready]:
    """Make every file of the listing ready; those that lie in the folder already and are well are not fetched."""
    ready: dict[str, _Ready] = {}
    for file in listing.files:
        if (here := _in_place(folder / file.path, file)) is not None:
            ready[file.path] = _Ready(here, None)
            on_bytes(file.size_bytes)
    missing = [file for file in listing.files if file.path not in ready]
    parts = _parts_of(listing.repo)
    _check_space(listing.repo, sum(file.size_bytes - _size(_part(parts, file)) for file in missing))
    for file in missing:
        parts.mkdir(parents=True, exist_ok=True)
        part = _part(parts, file)
        ready[file.path] = _Ready(_fetch(source, listing, file, part, on_bytes), part)
    return ready


def _counted(listing: Listing, on_progress: OnProgress | None) -> OnBytes:
    """Turn counts of bytes into shares of the whole."""
    total_bytes = sum(file.size_bytes for file in listing.files)
    done_bytes = 0

    def on_bytes(count: int) -> None:
        nonlocal done_bytes
        done_bytes += count
        if on_progress is not None:
            on_progress(min(1.0, done_bytes / total_bytes) if total_bytes else 1.0)

    return on_bytes


def _in_place(path: Path, file: RemoteFile) -> Digest | None:
    """What lies there, when it is the file; None also for one that cannot be read, which is then fetched again."""
    try:
        if not path.is_file() or path.stat().st_size != file.size_bytes:
            return None
        here = digest(path)
    except OSError:
        return None
    return here if file.is_what(here) else None


def _fetch(source: Source, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> Digest:
    if _size(part) > file.size_bytes:
        part.unlink()
    part.touch()
    on_bytes(_size(part))
    if _size(part) < file.size_bytes:
        source.fetch(listing, file, part, on_bytes)
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    here = digest(part)
    if not file.is_what(here):
        part.unlink()
        raise EngineUnavailable(
            f"{file.path} of {listing.repo} came damaged: it is not the file that {source.place} describes",
            fix="run the same command again; if it stays so, name another source with --mirror",
            file=file.path,
            repo=listing.repo,
        )
    return here


def _install(name: str, listing: Listing, folder: Path, ready: dict[str, _Ready], known: Manifest | None) -> Manifest:
    """Move the parts in; from the first move to the manifest the folder counts as incomplete."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MANIFEST).unlink(missing_ok=True)
    for path in {file.path for file in known.files} - set(ready) if known else set[str]():
        (folder / path).unlink(missing_ok=True)
    for path, file in ready.items():
        if file.part is not None:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            # Not rename(): the folder may be a link to another disk.
            shutil.move(file.part, folder / path)
    digests = {path: file.digest for path, file in ready.items()}
    manifest = describe(name, listing.repo, listing.revision, digests, datetime.now(UTC))
    write_manifest(folder, manifest)
    if _parts_of(listing.repo).exists():
        shutil.rmtree(_parts_of(listing.repo))
    return manifest


def _check_space(repo: str, needed_bytes: int) -> None:
    free_bytes = shutil.disk_usage(models_dir()).free
    if free_bytes < needed_bytes:
        raise StoreFailed(
            f"{repo} needs {needed_bytes:,} bytes more, {models_dir()} has {free_bytes:,} bytes free",
            fix="free disk space or name another folder in MODELS_DIR",
            needed_bytes=needed_bytes,
            free_bytes=free_bytes,
        )


def _parts_of(repo: str) -> Path:
    return models_dir() / PULLING / folder_name(repo)


def _part(parts: Path, file: RemoteFile) -> Path:
    """Named by path and content: a part of another revision's file is never continued."""
    return parts / hashlib.sha256(f"{file.path}\n{file.sha256 or file.git_sha1}".encode()).hexdigest()[:32]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@contextmanager
def _only_pull_of(repo: str) -> Generator[None]:
    """Wait until no other process pulls this model."""
    locks = models_dir() / ".locks"
    locks.mkdir(parents=True, exist_ok=True)
    with locked(locks / folder_name(repo), wait=True):
        yield


@contextmanager
def _disk_errors() -> Generator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StoreFailed(
            f"cannot read or write {error.filename or models_dir()}: {error.strerror or error}",
            fix="free disk space and run it again; it goes on where it stopped"
            if full
            else "see that this user may write in MODELS_DIR, or name another folder there",
            path=str(error.filename or models_dir()),
        ) from error


def _source(mirror: str | None) -> Source:
    if not mirror:
        return Hub(None)
    if urlsplit(mirror).scheme in ("http", "https"):
        return Hub(mirror.rstrip("/"))
    if "://" in mirror:
        raise BadInput(f"the mirror {mirror} is neither a folder nor http(s)", fix="give a folder or an http(s) URL")
    return Folder(Path(mirror).expanduser().absolute())
