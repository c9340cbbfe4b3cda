"""Recordings in S3 buckets."""

from collections.abc import AsyncIterator
from typing import Any

from blocks.store.s3 import s3_client

from blocks.errors import BadInput, EngineUnavailable, NotFound
from blocks.progress import in_thread
from tasks.audio.fetch import CHUNK_BYTES, too_large


async def read_object(address: str, max_bytes: int) -> AsyncIterator[bytes]:
    """The content of `s3://bucket/key`, in pieces.

    Raises:
        NotFound, BadInput, TooLarge, EngineUnavailable: see `fetch`.
        Unsupported: boto3 is not installed.
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    if not bucket or not key:
        raise BadInput(f"{address} names no object", fix="use s3://bucket/key", field="source")
    answer = await in_thread(_get, bucket, key)
    if answer["ContentLength"] > max_bytes:
        raise too_large(max_bytes)
    body = answer["Body"]
    try:
        while chunk := await in_thread(body.read, CHUNK_BYTES):
            yield chunk
    finally:
        body.close()


def _get(bucket: str, key: str) -> Any:
    client = s3_client()
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return client.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code in ("NoSuchKey", "NoSuchBucket", "404"):
            raise NotFound(f"nothing is at s3://{bucket}/{key}", fix="check bucket and key", field="source") from error
        raise BadInput(
            f"s3://{bucket}/{key} cannot be read: {code}",
            fix="check the credentials and their rights",
            field="source",
        ) from error
    except BotoCoreError as error:
        raise EngineUnavailable(
            f"S3 cannot be reached: {error}", fix="check S3_ENDPOINT_URL and credentials"
        ) from error
