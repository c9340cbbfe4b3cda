"""Where a log begins that was shortened: a sealed note of the last record that was taken away."""

import hmac
import json
from pathlib import Path
from typing import Any

from pydantic import AwareDatetime, ValidationError

from blocks.action import canonical
from blocks.audit.entry import Head
from blocks.errors import StoreFailed
from blocks.model import Frozen
from blocks.whole_file import write_whole

FILE = "checkpoint.json"


class Checkpoint(Frozen):
    """The record after which a log begins.

    Attributes:
        seq: Its number; all up to it may be gone.
        hash: Its hash, which the next record holds.
        at: When it was written.
    """

    seq: int
    hash: str
    at: AwareDatetime

    @property
    def head(self) -> Head:
        """Its place in the chain."""
        return Head(seq=self.seq, hash=self.hash)


def put_checkpoint(folder: Path, key: bytes, checkpoint: Checkpoint) -> None:
    """Seal a checkpoint, and write it whole. Raises `OSError`."""
    body = checkpoint.model_dump(mode="json")
    write_whole(folder / FILE, canonical(body | {"seal": _seal(key, body)}).encode())


def read_checkpoint(folder: Path, key: bytes) -> Checkpoint | None:
    """The checkpoint of a log; None where it was never shortened.

    Raises:
        StoreFailed: it is not as it was sealed.
    """
    path = folder / FILE
    try:
        body: Any = json.loads(path.read_bytes())
        seal = body.pop("seal")
        found = Checkpoint.model_validate(body)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, AttributeError, TypeError, ValidationError):
        raise _changed(path) from None
    if not hmac.compare_digest(_seal(key, body), str(seal).encode("ascii", "replace").decode()):
        raise _changed(path)
    return found


def _seal(key: bytes, body: dict[str, Any]) -> str:
    # A word before it: no record of the chain has the same beginning, so neither passes for the other.
    return hmac.digest(key, f"checkpoint\n{canonical(body)}".encode(), "sha256").hex()


def _changed(path: Path) -> StoreFailed:
    return StoreFailed(
        f"{path} is not as it was sealed",
        fix="put the file or the key back; without it, what was taken away is missing",
    )
