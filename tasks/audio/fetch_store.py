"""Recordings that lie in our own store, such as uploads."""

from collections.abc import AsyncGenerator, Generator
from contextlib import closing

from blocks.errors import C500Error, EngineUnavailable, NotFound
from blocks.progress import in_thread
from blocks.store import open_store
from tasks.audio.sink import CHUNK_BYTES


def name_of_key(address: str) -> str:
    """The last part of the key."""
    return address.rsplit("/", 1)[-1]


async def read_stored(address: str) -> AsyncGenerator[bytes]:
    """The content of `store://key`, in pieces.

    Raises:
        NotFound: the store has no such file.
        BadInput: the key is not one of a store.
        EngineUnavailable: the store broke off.
    """
    chunks = _chunks(address.partition("://")[2])
    try:
        while chunk := await in_thread(lambda: next(chunks, b"")):
            yield chunk
    finally:
        await in_thread(chunks.close)


def _chunks(key: str) -> Generator[bytes]:
    try:
        with closing(open_store().open(key)) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except NotFound as error:
        raise NotFound(
            f"the store has no file {key}", fix="upload it again; uploads go when their job is done", field="source"
        ) from error
    except C500Error:
        raise
    except Exception as error:  # each kind of store has its own for a connection that breaks
        raise EngineUnavailable(f"{key} cannot be read from the store: {error}", fix="try again later") from error
