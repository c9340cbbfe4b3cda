"""Recordings in S3 buckets."""

from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from typing import Any

from blocks.errors import BadInput, EngineUnavailable, NotFound
from blocks.progress import in_thread
from blocks.store.s3 import s3_client
from tasks.audio.sink import CHUNK_BYTES, too_large


async def read_object(address: str, max_bytes: int) -> AsyncGenerator[bytes]:
    """The content of `s3://bucket/key`, in pieces.

    Raises:
        NotFound, BadInput, TooLarge, EngineUnavailable: see `fetch`.
        Unsupported: boto3 is not installed.
    """
    bucket, _, key = address.partition("://")[2].partition("/")
    if not bucket or not key:
        raise BadInput(f"{address} names no object", fix="use s3://bucket/key", field="source")
    client = await in_thread(s3_client)
    with _s3_errors(address):
        answer = await in_thread(client.get_object, Bucket=bucket, Key=key)
    if answer["ContentLength"] > max_bytes:
        raise too_large(max_bytes)
    body = answer["Body"]
    try:
        while chunk := await in_thread(_read, body, address):
            yield chunk
    finally:
        body.close()


def _read(body: Any, address: str) -> bytes:
    with _s3_errors(address):
        return body.read(CHUNK_BYTES)


@contextmanager
def _s3_errors(address: str) -> Generator[None]:
    """What boto3 raises, as an error a user can act on."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ParamValidationError

    try:
        yield
    except ClientError as error:
        raise _refusal(address, error.response) from error
    except NoCredentialsError as error:
        raise BadInput(
            "there are no credentials for S3", fix="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from error
    except ParamValidationError as error:
        raise BadInput(f"{address} names no object", fix="use s3://bucket/key", field="source") from error
    except BotoCoreError as error:
        raise EngineUnavailable(
            f"S3 cannot be reached: {error}", fix="check S3_ENDPOINT_URL; try again later"
        ) from error


def _refusal(address: str, answer: Any) -> NotFound | BadInput | EngineUnavailable:
    code = str(answer.get("Error", {}).get("Code", ""))
    status = int(answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in ("NoSuchKey", "NoSuchBucket", "404"):
        return NotFound(f"nothing is at {address}", fix="check bucket and key", field="source")
    if status == 429 or status >= 500:
        return EngineUnavailable(f"S3 answers {status} {code} to {address}", fix="try again later")
    return BadInput(f"{address} cannot be read: {code}", fix="check the credentials and their rights", field="source")
