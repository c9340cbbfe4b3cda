"""A store in an S3 bucket, Amazon's or any server that speaks its protocol."""

import hashlib
import tempfile
from collections.abc import Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, cast

from blocks.errors import Conflict, NotFound, StoreFailed, Unsupported
from blocks.settings import settings
from blocks.store.files import FileRef, safe_key
from blocks.store.lease import lease
from blocks.store.scratch import Scratch

OCTETS = "application/octet-stream"
CHUNK_BYTES = 1 << 20
MISSING = {"404", "NoSuchKey", "NotFound"}
LOST_RACE = {"412", "PreconditionFailed", "ConditionalRequestConflict", "409"}
"""What S3 answers when an object is not in the version that a conditional write names."""


def s3_client() -> Any:
    """A boto3 client for the server of the settings; credentials as boto3 finds them.

    Raises:
        Unsupported: boto3 is not installed.
    """
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise Unsupported("S3 needs boto3", fix="pip install 'c500[s3]'") from error
    endpoint = settings().s3_endpoint_url
    make: Any = boto3.client  # its types come in a package of their own
    return make(
        "s3",
        endpoint_url=str(endpoint) if endpoint else None,
        config=Config(connect_timeout=10, read_timeout=60, retries={"max_attempts": 4, "mode": "standard"}),
    )


class S3Files:
    """Files as objects below a prefix of one bucket.

    An object appears whole or not at all by the nature of S3; large files go up in parts, which
    are dropped when the upload fails.

    Args:
        bucket: The bucket; it must exist.
        prefix: What all keys begin with.
    """

    def __init__(self, bucket: str, prefix: str) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._client = s3_client()
        self._scratch = Scratch(Path(tempfile.gettempdir()) / "c500-s3-scratch")
        self._scratch.sweep()

    def exists(self, key: str) -> bool:
        """Whether the key names an object."""
        return self._head(key) is not None

    def read_bytes(self, key: str) -> bytes:
        """The whole content. Raises `NotFound`."""
        with self.open(key) as stream:
            return stream.read()

    def open(self, key: str, start: int = 0) -> BinaryIO:
        """The content from a byte before its end on, as a readable binary stream. Raises `NotFound`."""
        part = {"Range": f"bytes={start}-"} if start else {}
        with _s3_errors(key):
            answer = self._client.get_object(Bucket=self.bucket, Key=self._name(key), **part)
        return cast(BinaryIO, answer["Body"])

    def put_bytes(self, key: str, content: bytes, media_type: str = OCTETS) -> FileRef:
        """Write the content under the key, replacing what was there."""
        with _s3_errors(key):
            self._client.put_object(Bucket=self.bucket, Key=self._name(key), Body=content, ContentType=media_type)
        digest = hashlib.sha256(content).hexdigest()
        return FileRef(key=key, sha256=digest, size_bytes=len(content), media_type=media_type)

    def put_file(self, key: str, path: Path, media_type: str = OCTETS) -> FileRef:
        """Upload a local file under the key."""
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        with _s3_errors(key):
            extra = {"ContentType": media_type}
            self._client.upload_file(str(path), self.bucket, self._name(key), ExtraArgs=extra)
        return FileRef(key=key, sha256=digest, size_bytes=path.stat().st_size, media_type=media_type)

    def copy(self, source: FileRef, key: str) -> FileRef:
        """Give a stored file a second name; the server copies."""
        if source.key == key:
            return source
        with _s3_errors(source.key):
            origin = {"Bucket": self.bucket, "Key": self._name(source.key)}
            self._client.copy(origin, self.bucket, self._name(key))
        return source.model_copy(update={"key": key})

    def read_version(self, key: str) -> tuple[bytes, str] | None:
        """Content and ETag for a later `put_if`; None when there is no such object."""
        try:
            with _s3_errors(key):
                answer = self._client.get_object(Bucket=self.bucket, Key=self._name(key))
                return answer["Body"].read(), str(answer["ETag"])
        except NotFound:
            return None

    def put_if(self, key: str, content: bytes, version: str | None) -> str:
        """Compare-and-swap by `If-Match` / `If-None-Match`; returns the new ETag, raises `Conflict`."""
        condition = {"IfNoneMatch": "*"} if version is None else {"IfMatch": version}
        with _s3_errors(key):
            answer = self._client.put_object(Bucket=self.bucket, Key=self._name(key), Body=content, **condition)
        return str(answer["ETag"])

    def list(self, prefix: str = "") -> Iterator[str]:
        """All keys that begin with the prefix, sorted; locks are not among them."""
        yield from (key for key, _ in self.list_modified(prefix))

    def list_modified(self, prefix: str = "") -> Iterator[tuple[str, datetime]]:
        """As `list`, each key with when it was written, in UTC."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        with _s3_errors(prefix):
            for page in pages:
                for item in page.get("Contents", ()):
                    key = str(item["Key"]).removeprefix(self.prefix)
                    if not key.startswith(".locks/"):
                        yield key, item["LastModified"]

    def modified(self, key: str) -> datetime:
        """When the object was written, in UTC. Raises `NotFound`."""
        with _s3_errors(key):
            answer = self._client.head_object(Bucket=self.bucket, Key=self._name(key))
        return answer["LastModified"]

    def delete(self, key: str) -> None:
        """Remove the object; no error when it is gone already."""
        with _s3_errors(key):
            self._client.delete_object(Bucket=self.bucket, Key=self._name(key))

    @contextmanager
    def local(self, key: str) -> Generator[Path]:
        """The object downloaded to a scratch file."""
        with self.scratch(key.rsplit("/", 1)[-1]) as path:
            with _s3_errors(key):
                self._client.download_file(self.bucket, self._name(key), str(path))
            yield path

    def scratch(self, name: str) -> AbstractContextManager[Path]:
        """A new temporary file on this machine."""
        return self._scratch.file(name)

    def lock(self, key: str, *, wait: bool = True) -> AbstractContextManager[bool]:
        """Mutual exclusion between machines by a lease object; see `lease`."""
        return lease(self, f".locks/{hashlib.sha256(key.encode()).hexdigest()}", wait=wait)

    def uri(self, key: str) -> str:
        """An `s3://` address."""
        return f"s3://{self.bucket}/{self._name(key)}"

    def _name(self, key: str) -> str:
        return self.prefix + safe_key(key)

    def _head(self, key: str) -> Any:
        try:
            with _s3_errors(key):
                return self._client.head_object(Bucket=self.bucket, Key=self._name(key))
        except NotFound:
            return None


@contextmanager
def _s3_errors(key: str) -> Generator[None]:
    """Our errors for boto3's."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        response: dict[str, Any] = error.response
        code = str(response.get("Error", {}).get("Code", ""))
        if code in MISSING:
            raise NotFound(
                f"the store has no file {key}", fix="list the store to see what it holds", key=key
            ) from error
        if code in LOST_RACE:
            raise Conflict(f"{key} was changed by someone else", fix="read it again and retry", key=key) from error
        raise StoreFailed(
            f"S3 refuses {key}: {code}", fix="check that the bucket exists and the credentials may use it", key=key
        ) from error
    except (BotoCoreError, Boto3Error) as error:
        raise StoreFailed(
            f"S3 cannot be used: {error}", fix="check S3_ENDPOINT_URL, the network and the credentials", key=key
        ) from error
