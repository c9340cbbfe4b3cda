"""The store: where jobs keep their files."""

from functools import lru_cache
from pathlib import Path

from blocks.settings import settings
from blocks.store.files import FileRef, Files, safe_key
from blocks.store.local import LocalFiles

__all__ = ["FileRef", "Files", "LocalFiles", "open_store", "safe_key", "store_place"]


def open_store() -> Files:
    """The store the settings name: `STORE_URL` if set, else the folder `AUDIO_DIR`.

    `STORE_URL` is `s3://bucket/prefix`, or `block:c500-s3-store/name` for a block saved in Prefect.
    """
    return _open(settings().store_url or str(settings().audio_dir), str(settings().s3_endpoint_url))


def store_place() -> str:
    """Where the store of the settings is: its URL, or the whole path of its folder."""
    return settings().store_url or str(settings().audio_dir.expanduser().absolute())


@lru_cache(maxsize=8)
def _open(place: str, _endpoint: str) -> Files:
    if place.startswith("s3://"):
        from blocks.store.s3 import S3Files  # boto3 is an extra

        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        return S3Files(bucket, prefix)
    if place.startswith("block:"):
        from blocks.store.block import load_store

        return load_store(place.removeprefix("block:")).open()
    return LocalFiles(Path(place))
