"""A hub of models, and what any source of models says about its files."""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from blocks.errors import C500Error, EngineUnavailable, NotAllowed, NotFound, Unsupported
from blocks.models.manifest import Digest, safe_path

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
                files = matching([_remote_file(sibling) for sibling in info.siblings or []], patterns)
                commit = safe_path(info.sha or "")
            except (ValueError, TypeError, KeyError) as error:
                raise EngineUnavailable(
                    f"{self.place} does not answer like a hub ({error})",
                    fix="check the address in --mirror or MODELS_MIRROR, and whether a proxy answers in its place",
                ) from error
        return Listing(repo=repo, revision=commit, files=not_empty(files, repo, self.place, patterns))

    def fetch(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        """Download, and go on after a lost connection for as long as every try brings something."""
        while True:
            had_bytes = part.stat().st_size
            try:
                return self._download(listing, file, part, on_bytes)
            except EngineUnavailable:
                if part.stat().st_size == had_bytes:
                    raise

    def _download(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        from huggingface_hub import constants
        from huggingface_hub.file_download import hf_hub_url, http_get
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(listing.repo, file.path, revision=listing.revision, endpoint=self._endpoint)
        headers = build_hf_headers(token=self._token) | {"accept-encoding": "identity"}
        with self._errors(listing.repo), part.open("ab") as stream:
            try:
                http_get(
                    url,
                    stream,
                    resume_size=part.stat().st_size,
                    headers=headers,
                    expected_size=file.size_bytes,
                    tqdm_class=cast(Any, partial(_Bar, on_bytes)),
                )
            except OSError as error:
                # Without a number it is the client's own complaint about the length, which the check of
                # the hash finds too; the client's errors about answers are OSErrors as well.
                if error.errno is not None or hasattr(error, "response"):
                    raise
            except ValueError as error:
                if file.size_bytes > constants.MAX_HTTP_DOWNLOAD_SIZE:
                    raise _too_large(listing, file) from error
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


def _too_large(listing: Listing, file: RemoteFile) -> Unsupported:
    """The client (2.x) refuses to begin files over 50 GB by plain HTTP."""
    folder = f"FOLDER/{listing.repo}"
    return Unsupported(
        f"{file.path} of {listing.repo} has {file.size_bytes:,} bytes, more than plain HTTP brings",
        fix=f"hf download {listing.repo} --revision {listing.revision} --local-dir {folder}, "
        f"then c500 models pull {listing.repo} --mirror FOLDER",
        file=file.path,
        repo=listing.repo,
        size_bytes=file.size_bytes,
    )


def _remote_file(sibling: "RepoSibling") -> RemoteFile:
    """Raises ValueError when the server names a file outside the folder, or no size or hash."""
    sha256 = sibling.lfs.sha256 if sibling.lfs else None
    if sibling.size is None or not (sha256 or sibling.blob_id):
        raise ValueError(f"no size or hash for {sibling.rfilename}")
    return RemoteFile(
        path=safe_path(sibling.rfilename), size_bytes=sibling.size, sha256=sha256, git_sha1=sibling.blob_id
    )


def matching(files: list[RemoteFile], patterns: tuple[str, ...]) -> list[RemoteFile]:
    """The files that match a pattern."""
    return [file for file in files if wanted(file.path, patterns)]


def wanted(path: str, patterns: tuple[str, ...]) -> bool:
    """Whether a path matches a pattern."""
    return any(fnmatch(path, pattern) for pattern in patterns)


def not_empty(files: list[RemoteFile], repo: str, place: str, patterns: tuple[str, ...]) -> tuple[RemoteFile, ...]:
    """The same files. Raises NotFound when there is none."""
    if not files:
        raise NotFound(f"{place} has no file of {repo} like {', '.join(patterns)}", fix="check the name", repo=repo)
    return tuple(files)
