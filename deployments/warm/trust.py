"""One trust store for all API clients of a process.

Prefect gives each of its clients an own SSL context, and reading 140 certificates takes 30 ms (Prefect
3.8.8, measured), also for a server without TLS; a run makes three clients before its first line, a
worker two for each run. Contexts of the same certificate file are the same, so they share one.
"""

import ssl
from functools import cache
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import Any

import certifi
from prefect.client import orchestration
from prefect.settings import PREFECT_API_SSL_CERT_FILE

_own = ssl.create_default_context


def share_trust_store() -> None:
    """Have Prefect's clients of this process, and of those forked from it, share their SSL contexts."""
    shared = ModuleType("ssl")
    shared.__dict__.update(vars(ssl), create_default_context=_context)
    setattr(orchestration, "ssl", shared)  # noqa: B010 - the name is not exported
    _context(cafile=PREFECT_API_SSL_CERT_FILE.value() or certifi.where())


def _context(*arguments: Any, cafile: str | PathLike[str] | None = None, **options: Any) -> ssl.SSLContext:
    if arguments or options or cafile is None:
        return _own(*arguments, cafile=cafile, **options)  # such a one may be changed by who asked for it
    return _of_file(fspath(cafile), Path(cafile).stat().st_mtime_ns)


@cache
def _of_file(cafile: str, changed_ns: int) -> ssl.SSLContext:
    del changed_ns  # a file that was renewed is read again
    return _own(cafile=cafile)
