"""The store: where jobs keep their files."""

from functools import lru_cache

from blocks.settings import settings
from blocks.store.files import FileRef, Files, safe_key
from blocks.store.local import LocalFiles

__all__ = ["FileRef", "Files", "LocalFiles", "open_store", "safe_key"]


def open_store() -> Files:
    """The store the settings name: `STORE_URL` if set, else the folder `AUDIO_DIR`."""
    chosen = settings()
    endpoint = str(chosen.s3_endpoint_url) if chosen.s3_endpoint_url else None
    return _open(chosen.store_url or str(chosen.audio_dir), endpoint)


@lru_cache(maxsize=8)
def _open(place: str, endpoint: str | None) -> Files:
    if place.startswith("s3://"):
        from blocks.store.s3 import S3Files  # boto3 is an extra

        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        return S3Files(bucket=bucket, prefix=prefix, endpoint_url=endpoint)
    from pathlib import Path

    return LocalFiles(Path(place))
