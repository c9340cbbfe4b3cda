"""Command-line programs of the operator, run outside of the sandbox: whole arguments, few variables, an end."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from blocks.errors import EngineFailed, TimedOut
from blocks.sandbox.output import BoundedOutput

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CHUNK_BYTES = 1 << 16
OUTPUT_BYTES = 200_000
END_S = 5.0
"""Seconds that a killed program's pipes may stay open, where a child of it went off."""


class Ran(NamedTuple):
    """What came of a program.

    Attributes:
        exit_code: As shells give it.
        stdout, stderr: What it wrote, its beginning and its end where it was much.
        truncated: Whether something of it was left out.
    """

    exit_code: int
    stdout: str
    stderr: str
    truncated: bool


def program_at(name: str, path: str = PATH) -> Path | None:
    """Where a program lies; None where it is not installed."""
    found = shutil.which(name, path=path)
    return Path(found).absolute() if found else None


async def run_program(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    timeout_s: float,
    stdin: bytes = b"",
    output_bytes: int = OUTPUT_BYTES,
) -> Ran:
    """Run a program to its end; it and its children are killed when time is up or the caller is cancelled.

    Args:
        argv: The program's path and its arguments; no shell reads them.
        env: All of its environment.
        timeout_s: Seconds it may take.
        stdin: What it may read.
        output_bytes: What is kept of each of its two streams.

    Raises:
        EngineFailed: it cannot be started.
        TimedOut: it took longer.
    """
    name = Path(argv[0]).name
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *argv, stdin=pipe, stdout=pipe, stderr=pipe, env=dict(env), cwd="/", start_new_session=True
        )
    except OSError as error:
        raise EngineFailed(
            f"{name} cannot be started: {error.strerror}", fix="ask the operator to repair it"
        ) from error
    out, err = BoundedOutput(output_bytes), BoundedOutput(output_bytes)
    try:
        async with asyncio.timeout(timeout_s):
            await asyncio.gather(_fed(process, stdin), _read(process.stdout, out), _read(process.stderr, err))
            code = await process.wait()
    except BaseException as error:
        await _ended(process)
        if isinstance(error, TimeoutError):
            raise TimedOut(f"{name} took longer than {timeout_s:g} s", fix="ask for less, or later") from error
        raise
    truncated = bool(out.left_out_bytes or err.left_out_bytes)
    return Ran(code if code >= 0 else 128 - code, out.text(), err.text(), truncated)


async def _fed(process: asyncio.subprocess.Process, content: bytes) -> None:
    if (stdin := process.stdin) is None:
        return
    with suppress(BrokenPipeError, ConnectionResetError):  # it did not want to read
        stdin.write(content)
        await stdin.drain()
        stdin.close()
        await stdin.wait_closed()


async def _read(stream: asyncio.StreamReader | None, kept: BoundedOutput) -> None:
    while stream is not None and (chunk := await stream.read(CHUNK_BYTES)):
        kept.add(chunk)


async def _ended(process: asyncio.subprocess.Process) -> None:
    """Kill what is left of it and its children; they have a group of their own."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            await process.wait()
