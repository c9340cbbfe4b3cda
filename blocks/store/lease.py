"""A lock between machines: an object that names its holder and is renewed while it is held."""

import json
import threading
import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Protocol

from blocks.errors import C500Error, Conflict

TERM_S = 30.0
"""A holder that stops renewing loses the lease after this. Clocks of the machines may differ by a
third of it at most: keep them in time with NTP."""

POLL_S = 0.5


class CompareAndSwap(Protocol):
    """What a lease needs of a store."""

    def read_version(self, key: str) -> tuple[bytes, str] | None: ...

    def put_if(self, key: str, content: bytes, version: str | None) -> str: ...

    def delete(self, key: str) -> None: ...


@contextmanager
def lease(files: CompareAndSwap, key: str, *, wait: bool, term_s: float = TERM_S) -> Generator[bool]:
    """Hold the lease for the block, renewing it from a thread; yields whether it was obtained.

    Args:
        files: The store.
        key: The lease's object.
        wait: Whether to wait for another holder.
        term_s: Seconds after which a silent holder has lost it.
    """
    owner = uuid.uuid4().hex
    while (version := _take(files, key, owner, term_s)) is None:
        if not wait:
            yield False
            return
        time.sleep(POLL_S)
    ended = threading.Event()
    renewal = threading.Thread(target=_renew, args=(files, key, owner, version, term_s, ended), daemon=True)
    renewal.start()
    try:
        yield True
    finally:
        ended.set()
        renewal.join()
        _release(files, key, owner)


def _take(files: CompareAndSwap, key: str, owner: str, term_s: float) -> str | None:
    """The version of our lease; None while someone else's is good."""
    found = files.read_version(key)
    if found is not None and json.loads(found[0])["expires_at"] > time.time():
        return None
    try:
        return files.put_if(key, _content(owner, term_s), found[1] if found else None)
    except Conflict:
        return None


def _renew(files: CompareAndSwap, key: str, owner: str, version: str, term_s: float, ended: threading.Event) -> None:
    while not ended.wait(term_s / 3):
        try:
            version = files.put_if(key, _content(owner, term_s), version)
        except Conflict:
            return  # it had expired and is someone else's now
        except C500Error:
            continue  # the store is away for the moment; the next try may be in time


def _release(files: CompareAndSwap, key: str, owner: str) -> None:
    with suppress(C500Error):  # it expires by itself
        found = files.read_version(key)
        if found is not None and json.loads(found[0])["owner"] == owner:
            files.delete(key)


def _content(owner: str, term_s: float) -> bytes:
    return json.dumps({"owner": owner, "expires_at": time.time() + term_s}).encode()
