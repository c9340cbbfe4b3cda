"""`c500` in this process: one of its own costs half a second before it begins, and two with Prefect.

A test file that uses it starts a real process for at least one of its commands. Flows need the fixture `prefect_api`.
"""

import io
import os
import signal
import subprocess
import sys

import pytest

from blocks.settings import settings
from deployments.cli import main


def c500_here(*arguments: str, stdin: str = "", **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command line as its own process would run it: exit code, standard output, standard error."""
    given, out, err = io.BytesIO(stdin.encode()), io.BytesIO(), io.BytesIO()
    variables, at_sigterm = dict(os.environ), signal.getsignal(signal.SIGTERM)
    os.environ.update(environment)
    settings.cache_clear()
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["c500", *arguments])
            for name, stream in (("stdin", given), ("stdout", out), ("stderr", err)):
                patch.setattr(sys, name, io.TextIOWrapper(stream, encoding="utf-8", write_through=True))
            code = _exit_code()
            return subprocess.CompletedProcess(arguments, code, out.getvalue().decode(), err.getvalue().decode())
    finally:
        signal.signal(signal.SIGTERM, at_sigterm)
        os.environ.clear()
        os.environ.update(variables)
        settings.cache_clear()


def _exit_code() -> int:
    try:
        main()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(bool(end.code))
    return 0
