"""Where a model lies on this machine; never asks the network, never hashes."""

from pathlib import Path

from blocks.content import content_hash
from blocks.errors import BadInput, NotFound
from blocks.models.catalogue import lookup
from blocks.models.located import LocatedModel
from blocks.models.manifest import read_manifest
from blocks.settings import settings

PULLING = ".pulling"
"""Within MODELS_DIR: what pulls have fetched so far, one folder a model."""


def models_dir() -> Path:
    """MODELS_DIR as an absolute path."""
    return settings().models_dir.expanduser().absolute()


def folder_of(repo: str) -> Path:
    """The folder that a pull fills: the hub name with `--` for `/`, within MODELS_DIR."""
    return models_dir() / folder_name(repo)


def folder_name(repo: str) -> str:
    """A hub name as the name of a folder."""
    return repo.replace("/", "--")


def locate(name: str) -> LocatedModel:
    """Find a model: an existing folder wins, else what was pulled under this name.

    Args:
        name: A folder (absolute, relative or with `~`), a short name or a hub name.

    Raises:
        NotFound: it is not here, or its pull has not ended; the fix is the command that pulls it.
        StoreFailed: its manifest is damaged.
    """
    own = own_folder(name)
    if own is not None:
        return _located(name, own)
    repo = lookup(name).repo
    folder = folder_of(repo)
    if read_manifest(folder) is None:
        raise _absent(name, repo, folder)
    return _located(name, folder)


def find(name: str) -> LocatedModel | None:
    """As `locate`, but None when the model is not here."""
    try:
        return locate(name)
    except NotFound:
        return None


def own_folder(name: str) -> Path | None:
    """The existing folder that the name means, if it means one."""
    if not name.strip():
        raise BadInput("the name of the model is empty", fix="give a folder, a short name or a hub name (org/name)")
    try:
        path = Path(name).expanduser()
        return path.absolute() if path.is_dir() else None
    except (OSError, RuntimeError):  # longer than a path may be; `~nobody`
        return None


def pulled_folders() -> list[Path]:
    """The folders of models in MODELS_DIR, complete or not, sorted by name."""
    root = models_dir()
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if "--" in path.name and path.is_dir())


def _located(name: str, folder: Path) -> LocatedModel:
    manifest = read_manifest(folder)
    if manifest is None:
        return LocatedModel(name=name, folder=folder, revision=_local_revision(folder))
    return LocatedModel(name=name, folder=folder, revision=manifest.revision, sha256=manifest.sha256)


def _local_revision(folder: Path) -> str:
    """Names a state of the user's own folder, so that results made with other weights are not taken for these."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return f"local-{content_hash(facts)[:12]}"


def _absent(name: str, repo: str, folder: Path) -> NotFound:
    begun = folder.is_dir() or (models_dir() / PULLING / folder.name).is_dir()
    state = "was pulled only in part: the pull is incomplete" if begun else "is not on this machine"
    return NotFound(
        f"model {name} {state} (MODELS_DIR is {models_dir()})", fix=f"c500 models pull {name}", model=name, repo=repo
    )
