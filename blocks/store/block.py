"""The stores as Prefect blocks, to be filled in as forms in the Prefect UI."""

from pathlib import Path
from typing import Any

from prefect.blocks.core import Block
from pydantic import Field

from blocks.store.files import Files


def load_store(slug: str) -> "LocalStore | S3Store":
    """The saved block of that slug, `c500-s3-store/name`."""
    load: Any = Block.load
    return load(slug, _sync=True)


class LocalStore(Block):
    """A store in a folder of the machine that opens it."""

    _block_type_slug = "c500-local-store"

    root: Path = Field(default=Path("~/.c500/audio"), description="The folder; made when missing.")

    def open(self) -> Files:
        """The open store."""
        from blocks.store.local import LocalFiles

        return LocalFiles(self.root)


class S3Store(Block):
    """A store in an S3 bucket; server and credentials as the machine's settings have them."""

    _block_type_slug = "c500-s3-store"

    bucket: str = Field(description="The bucket; it must exist.")
    prefix: str = Field(default="", description="What all keys begin with.")

    def open(self) -> Files:
        """The open store."""
        from blocks.store.s3 import S3Files

        return S3Files(self.bucket, self.prefix)
