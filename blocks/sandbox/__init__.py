"""Sandboxes: where the programs of agents run."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from blocks.errors import Unsupported
from blocks.sandbox.protocol import Completed, Level, Sandbox, SandboxLimits

__all__ = ["Completed", "Level", "Sandbox", "SandboxLimits", "open_sandbox"]


def open_sandbox(least: Level, *, readable: Sequence[Path] = ()) -> Sandbox:
    """The best sandbox of this machine; it is tried once in a process, which takes some 15 ms.

    Args:
        least: What it must be at least. Where bubblewrap does not work and `restricted` is enough, programs run without
            a boundary; the sandbox's name says so.
        readable: More folders that programs may read.

    Raises:
        Unsupported: nothing here is good enough; the message says why.
    """
    try:
        return _bubblewrap(tuple(readable))
    except Unsupported:
        if least != "restricted":
            raise
    from blocks.sandbox.restricted import Restricted

    return Restricted()


@lru_cache(maxsize=8)
def _bubblewrap(readable: tuple[Path, ...]) -> Sandbox:
    from blocks.sandbox.bubblewrap import Bubblewrap

    sandbox = Bubblewrap(readable)
    sandbox.probe()
    return sandbox
