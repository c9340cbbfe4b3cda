"""A model that lies on this machine."""

from pathlib import Path

from blocks.model import Frozen


class LocatedModel(Frozen):
    """Where a model's files are, and exactly which files they are.

    Attributes:
        name: As it was asked for: variant, hub name or folder.
        folder: Where its files lie.
        revision: Commit of the hub repository; for a folder of the user's own, `local-` and a hash of names, sizes and
            times of change.
        sha256: Hash over the names and hashes of all files, from the manifest; None without a manifest.
    """

    name: str
    folder: Path
    revision: str
    sha256: str | None = None
