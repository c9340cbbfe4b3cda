"""A folder that stands in for the hub, on machines without a network."""

from pathlib import Path

from blocks.errors import NotFound
from blocks.models.hub import Listing, OnBytes, RemoteFile, matching, not_empty, wanted
from blocks.models.locate import folder_name
from blocks.models.manifest import BLOCK_BYTES, digest, hash_of_files, read_manifest


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
            files = matching(found, patterns)
        else:
            files = [_hashed(folder, path) for path in _visible_files(folder) if wanted(path, patterns)]
        content = manifest.revision if manifest else hash_of_files({file.path: file.sha256 or "" for file in files})
        if revision not in ("main", content):
            raise NotFound(f"{folder} holds revision {content} of {repo}, not {revision}", fix="leave out --revision")
        return Listing(repo=repo, revision=content, files=not_empty(files, repo, self.place, patterns))

    def fetch(self, listing: Listing, file: RemoteFile, part: Path, on_bytes: OnBytes) -> None:
        """Copy what the part lacks."""
        with (self._folder(listing.repo) / file.path).open("rb") as source, part.open("ab") as target:
            source.seek(part.stat().st_size)
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


def _visible_files(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _hashed(folder: Path, path: str) -> RemoteFile:
    here = digest(folder / path)
    return RemoteFile(path=path, size_bytes=here.size_bytes, sha256=here.sha256, git_sha1=here.git_sha1)
