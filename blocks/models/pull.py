"""Bring a model to this machine: the one part of C500 that asks the network for weights.

Every file is fetched beside the model's folder, checked against the hash its source gives, and moved
in only when all are there; the manifest comes last. A pull that is cut off at any point goes on where
it stopped, and until the last moment the revision that was here before stays usable.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast
from urllib.parse import urlsplit

from blocks.errors import BadInput, C500Error, EngineUnavailable, NotAllowed, NotFound, StoreFailed
from blocks.models.catalogue import lookup
from blocks.models.locate import PULLING, folder_name, folder_of, models_dir
from blocks.models.manifest import (
    BLOCK_BYTES,
    MANIFEST,
    Digest,
    Manifest,
    describe,
    digest,
    hash_of_files,
    read_manifest,
    safe_path,
    write_manifest,
)
from blocks.progress import OnProgress
from blocks.store.scratch import locked

if TYPE_CHECKING:
    from huggingface_hub.hf_api import RepoSibling

HUB_TIMEOUT_S = 30.0
"""For the listing of files; without it the client waits for ever on a network that swallows packets."""

OnBytes = Callable[[int], None]
"""Takes the bytes that have come since the last call; negative when a file begins anew."""


@dataclass(frozen=True, kw_only=True)
class RemoteFile:
    """A file as its source describes it; one of the two hashes is known."""

    path: str
    size_bytes: int
    sha256: str | None = None
    git_sha1: str | None = None

    def is_what(self, here: Digest) -> bool:
        """Whether a file that was read is this one."""
        if here.size_bytes != self.size_bytes:
            return False
        return self.sha256 == here.sha256 if self.sha256 else self.git_sha1 == here.git_sha1


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The needed files of one revision of a repository."""

    repo: str
    revision: str
    files: tuple[RemoteFile, ...]


class Source(Protocol):
    """Where models come from."""

    place: str
    """What errors call it."""

    def list_files(self, repo: str, revision: str, patterns: tuple[str, ...]) -> Listing:
        """The files of a revision that match a pattern. Raises `NotFound` and what the source's trouble is."""
        ...

    def fetch(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        """Append to `part` what it lacks of the file; what is there already is not asked for again."""
        ...


def pull(
    name: str, *, revision: str = "main", mirror: str | None = None, on_progress: OnProgress | None = None
) -> Manifest:
    """Fetch a model into MODELS_DIR, or go on with a pull that was cut off.

    Args:
        name: Short name or hub name (`org/name`).
        revision: Branch, tag or commit.
        mirror: A hub-compatible server's URL, or a folder that holds `org/name/…` or a copy of a
            MODELS_DIR; None or empty is the hub.
        on_progress: Takes the share of bytes that is here; may raise `Stopped`.

    Raises:
        NotFound: no such model, revision or folder.
        NotAllowed: the repository asks for a licence or a token, or HF_HUB_OFFLINE forbids the network.
        EngineUnavailable: the source cannot be reached, or a file came damaged; a repeat goes on.
        StoreFailed: too little disk space, or MODELS_DIR cannot be written.
    """
    model = lookup(name)
    source = _source(mirror)
    folder = folder_of(model.repo)
    with _disk_errors(), _only_pull_of(model.repo):
        known = _known(folder)
        whole = known if known is not None and known.sizes_fit(folder) else None
        if whole is not None and whole.revision == revision:
            return whole
        listing = source.list_files(model.repo, revision, model.files)
        if whole is not None and whole.revision == listing.revision:
            return whole
        ready = _fetch_all(source, listing, folder, on_progress or (lambda _: None))
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


def _fetch_all(source: Source, listing: Listing, folder: Path, on_progress: OnProgress) -> dict[str, _Ready]:
    """Make every file of the listing ready; those that lie in the folder already are not fetched."""
    parts = _parts_of(listing.repo)
    parts.mkdir(parents=True, exist_ok=True)
    ready = {file.path: _Ready(here, None) for file in listing.files if (here := _in_place(folder / file.path, file))}
    missing = [file for file in listing.files if file.path not in ready]
    total_bytes = sum(file.size_bytes for file in listing.files)
    done_bytes = total_bytes - sum(file.size_bytes for file in missing)
    _check_space(listing.repo, sum(file.size_bytes - _size(_part(parts, file)) for file in missing))

    def on_bytes(count: int) -> None:
        nonlocal done_bytes
        done_bytes += count
        on_progress(min(1.0, done_bytes / total_bytes) if total_bytes else 1.0)

    on_bytes(0)
    for file in missing:
        part = _part(parts, file)
        ready[file.path] = _Ready(_fetch(source, listing, file, part, on_bytes), part)
    return ready


def _in_place(path: Path, file: RemoteFile) -> Digest | None:
    if not path.is_file() or path.stat().st_size != file.size_bytes:
        return None
    here = digest(path)
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


class Hub:
    """The hub, or a server that speaks its API.

    Files come by plain HTTP with `Range`, not by hf_hub_download: that one (huggingface_hub 2.4.0)
    writes to a file of random name and removes it on failure, so that a killed pull of several GB
    would begin anew; it would also ask a second server for chunks, which a mirror does not have.

    Args:
        endpoint: Its base URL; None is the client's own default.
    """

    def __init__(self, endpoint: str | None) -> None:
        self._endpoint = endpoint
        self.place = (urlsplit(endpoint).hostname or endpoint) if endpoint else "the hub"
        # A token saved by a login is meant for the hub; a mirror gets only one that the environment names.
        self._token = (os.environ.get("HF_TOKEN") or False) if endpoint else None

    def list_files(self, repo: str, revision: str, patterns: tuple[str, ...]) -> Listing:
        """Ask for the commit of the revision, and size and hash of each file."""
        _stop_telemetry()
        from huggingface_hub import HfApi

        with self._errors(repo):
            api = HfApi(endpoint=self._endpoint, token=self._token)
            try:
                info = api.model_info(repo, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT_S)
                files = _matching([_remote_file(sibling) for sibling in info.siblings or []], patterns)
                commit = safe_path(info.sha or "")
            except (ValueError, TypeError, KeyError) as error:
                raise EngineUnavailable(
                    f"{self.place} does not answer like a hub ({error})",
                    fix="check the address in --mirror or MODELS_MIRROR, and whether a proxy answers in its place",
                ) from error
        return Listing(repo=repo, revision=commit, files=_not_empty(files, repo, self.place, patterns))

    def fetch(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        """Download, and go on after a lost connection for as long as every try brings something."""
        while True:
            had_bytes = _size(part)
            try:
                return self._download(listing, file, part, on_bytes)
            except EngineUnavailable:
                if _size(part) == had_bytes:
                    raise

    def _download(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        from huggingface_hub.file_download import hf_hub_url, http_get
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(listing.repo, file.path, revision=listing.revision, endpoint=self._endpoint)
        headers = build_hf_headers(token=self._token) | {"accept-encoding": "identity"}
        with self._errors(listing.repo), part.open("ab") as stream:
            try:
                http_get(
                    url,
                    stream,
                    resume_size=_size(part),
                    headers=headers,
                    expected_size=file.size_bytes,
                    tqdm_class=cast(Any, partial(_Bar, on_bytes)),
                )
            except OSError as error:
                # Without a number it is the client's own complaint about the length, which the check of
                # the hash finds too; the client's errors about answers are OSErrors as well.
                if error.errno is not None or hasattr(error, "response"):
                    raise

    @contextmanager
    def _errors(self, repo: str) -> Generator[None]:
        from huggingface_hub import errors
        from huggingface_hub.errors import (
            HTTPError as TransportError,  # pyright: ignore[reportPrivateImportUsage] - httpx2 or httpx, as the client has
        )

        try:
            yield
        except errors.OfflineModeIsEnabled as error:
            raise NotAllowed(
                "HF_HUB_OFFLINE forbids the network", fix="unset it for this command, or give a folder as --mirror"
            ) from error
        except errors.GatedRepoError as error:
            raise NotAllowed(
                f"{repo} is open only to those who accepted its licence",
                fix="accept the licence on the model's page of the hub and set HF_TOKEN to your token",
                repo=repo,
            ) from error
        except errors.HfHubHTTPError as error:
            raise self._refused(repo, error.response.status_code, isinstance(error, _not_there())) from error
        except TransportError as error:
            raise EngineUnavailable(
                f"{self.place} cannot be reached: {error or type(error).__name__}",
                fix="check the connection and run it again, it goes on where it stopped; or name a --mirror",
                repo=repo,
            ) from error

    def _refused(self, repo: str, status: int, not_there: bool) -> C500Error:
        if not_there or status == 404:
            return NotFound(
                f"{self.place} has no {repo}, or not this revision of it",
                fix="check name and --revision; a private repository needs HF_TOKEN",
                repo=repo,
            )
        if status in (401, 403):
            return NotAllowed(
                f"{self.place} refuses {repo} (HTTP {status})",
                fix="set HF_TOKEN to a token that may read it",
                repo=repo,
            )
        return EngineUnavailable(
            f"{self.place} answers HTTP {status} for {repo}", fix="run it again later, or name a --mirror", repo=repo
        )


class Folder:
    """Models in a folder, for machines without a network: `org/name/…`, or a copy of another MODELS_DIR.

    Args:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self.place = str(root)

    def list_files(self, repo: str, revision: str, patterns: tuple[str, ...]) -> Listing:
        """Take the manifest's word where there is one; else hash every file."""
        folder = self._folder(repo)
        manifest = read_manifest(folder)
        if manifest is not None:
            found = [RemoteFile(path=f.path, size_bytes=f.size_bytes, sha256=f.sha256) for f in manifest.files]
            files = _matching(found, patterns)
        else:
            files = [_hashed(folder, path) for path in _visible_files(folder) if _wanted(path, patterns)]
        content = manifest.revision if manifest else hash_of_files({file.path: file.sha256 or "" for file in files})
        if revision not in ("main", content):
            raise NotFound(f"{folder} holds revision {content} of {repo}, not {revision}", fix="leave out --revision")
        return Listing(repo=repo, revision=content, files=_not_empty(files, repo, self.place, patterns))

    def fetch(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        """Copy what the part lacks."""
        with (self._folder(listing.repo) / file.path).open("rb") as source, part.open("ab") as target:
            source.seek(_size(part))
            while block := source.read(BLOCK_BYTES):
                target.write(block)
                on_bytes(len(block))

    def _folder(self, repo: str) -> Path:
        for folder in (self._root / repo, self._root / folder_name(repo)):
            if folder.is_dir():
                return folder
        raise NotFound(
            f"the mirror {self._root} has no folder {repo}", fix="check --mirror or MODELS_MIRROR", repo=repo
        )


class _Bar:
    """Stands in for the progress bar that the client would draw."""

    def __init__(self, on_bytes: OnBytes, **_: Any) -> None:
        self._on_bytes = on_bytes

    def __enter__(self) -> "_Bar":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, count: int) -> None:
        self._on_bytes(count)


def _stop_telemetry() -> None:
    """Keep the client (2.x) from asking the public hub for its list of agents, even when a mirror is named."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_TELEMETRY = True


def _not_there() -> tuple[type[Exception], ...]:
    from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

    return EntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError


def _remote_file(sibling: "RepoSibling") -> RemoteFile:
    """Raises ValueError when the server names a file outside the folder, or no size or hash."""
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    if sibling.size is None or not (sha256 or sibling.blob_id):
        raise ValueError(f"no size or hash for {sibling.rfilename}")
    return RemoteFile(
        path=safe_path(sibling.rfilename), size_bytes=sibling.size, sha256=sha256, git_sha1=sibling.blob_id
    )


def _matching(files: list[RemoteFile], patterns: tuple[str, ...]) -> list[RemoteFile]:
    return [file for file in files if _wanted(file.path, patterns)]


def _wanted(path: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def _not_empty(files: list[RemoteFile], repo: str, place: str, patterns: tuple[str, ...]) -> tuple[RemoteFile, ...]:
    if not files:
        raise NotFound(f"{place} has no file of {repo} like {', '.join(patterns)}", fix="check the name", repo=repo)
    return tuple(files)


def _visible_files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _hashed(folder: Path, path: str) -> RemoteFile:
    here = digest(folder / path)
    return RemoteFile(path=path, size_bytes=here.size_bytes, sha256=here.sha256, git_sha1=here.git_sha1)
