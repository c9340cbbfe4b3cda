"""This machine as a host."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from blocks.errors import BadInput, NotAllowed, NotFound, TooLarge, Unsupported
from blocks.hosts.command import PATH, Kept, became, checked_argv, checked_env
from blocks.hosts.protocol import COMMAND_S, FILE_BYTES, OUTPUT_BYTES, CommandResult
from blocks.progress import in_thread
from blocks.whole_file import write_whole

CHUNK = 65_536
DIES_WITH_US = ("/usr/bin/setpriv", "--pdeathsig", "KILL", "--")
"""Of util-linux, which every Debian and Ubuntu has; it replaces itself by the program."""

NOT_RUNNABLE = 126

FIRST_LOOK_S, LOOK_S = 0.002, 0.05
PIPES_S = 2.0
"""Seconds that output is waited for after the program's end."""


class LocalHost:
    """Programs run as our own user, in a session of their own.

    Args:
        name: As the inventory calls it.
    """

    def __init__(self, name: str = "local") -> None:
        self._name = name

    @property
    def name(self) -> str:
        """As the inventory calls it."""
        return self._name

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        env: Mapping[str, str] = {},
        cwd: str | None = None,
        timeout_s: float = COMMAND_S,
        become: bool = False,
    ) -> CommandResult:
        """See `Host.run`."""
        told, more = checked_argv(argv), checked_env(env)
        # A program whose starter was killed must not go on beside the attempt that comes after.
        words = (*DIES_WITH_US, *became(told, more, become=become and os.geteuid() != 0))
        began = time.monotonic()
        try:
            process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={"PATH": PATH, "HOME": os.environ.get("HOME", "/"), "LANG": "C.UTF-8"} | more,
                cwd=cwd,
                start_new_session=True,
            )
        except (FileNotFoundError, NotADirectoryError) as error:
            if cwd is not None and not Path(cwd).is_dir():
                raise BadInput(f"there is no folder {cwd}", fix="name one that exists", field="cwd") from error
            raise Unsupported(f"there is no {words[0]}", fix="install util-linux") from error
        except OSError as error:
            return CommandResult(argv=told, exit_code=NOT_RUNNABLE, stderr=f"{told[0]:.200}: {error.strerror}")
        return await _ended(process, told, stdin, timeout_s, began)

    async def read_file(self, path: str, *, most_bytes: int = FILE_BYTES) -> bytes:
        """See `Host.read_file`."""
        return await in_thread(_read, path, most_bytes)

    async def write_file(self, path: str, content: bytes, *, mode: int = 0o644) -> None:
        """See `Host.write_file`."""
        try:
            await in_thread(write_whole, Path(path), content, mode=mode)
        except FileNotFoundError as error:
            raise NotFound(f"there is no folder for {path}", fix="make it first", field="path") from error
        except OSError as error:
            raise NotAllowed(f"{path} cannot be written: {error.strerror}", fix="look at its rights") from error


async def _ended(
    process: asyncio.subprocess.Process, argv: tuple[str, ...], stdin: bytes, timeout_s: float, began: float
) -> CommandResult:
    out, err, timed_out = Kept(OUTPUT_BYTES), Kept(OUTPUT_BYTES), False
    assert process.stdin and process.stdout and process.stderr  # noqa: S101 - pipes, as asked for
    pipes = asyncio.gather(_fed(process.stdin, stdin), _kept(process.stdout, out), _kept(process.stderr, err))
    try:
        async with asyncio.timeout(timeout_s):
            await _exited(process)
    except TimeoutError:
        timed_out = True
    finally:
        # Also where it ended by itself: what it left running in its session must not outlive it.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        with suppress(TimeoutError):  # a daemon in a session of its own may hold the pipes open
            await asyncio.wait_for(pipes, PIPES_S)
        await asyncio.shield(_exited(process))
    code = process.returncode if process.returncode is not None else -signal.SIGKILL
    stdout, stderr = out.text(), err.text()
    return CommandResult(
        argv=argv,
        exit_code=code if code >= 0 else 128 - code,
        stdout=stdout,
        stderr=stderr,
        truncated=out.truncated or err.truncated,
        timed_out=timed_out,
        took_s=round(time.monotonic() - began, 3),
    )


async def _exited(process: asyncio.subprocess.Process) -> None:
    """Wait for its end; `process.wait()` of CPython 3.11 waits for its pipes, too, which others may hold open."""
    pause_s = FIRST_LOOK_S
    while process.returncode is None:
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LOOK_S)


async def _fed(pipe: asyncio.StreamWriter, content: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):  # it need not read all
        pipe.write(content)
        await pipe.drain()
    with suppress(BrokenPipeError, ConnectionResetError):
        pipe.close()


async def _kept(pipe: asyncio.StreamReader, kept: Kept) -> None:
    while chunk := await pipe.read(CHUNK):
        kept.add(chunk)


def _read(path: str, most_bytes: int) -> bytes:
    try:
        with Path(path).open("rb") as stream:
            content = stream.read(most_bytes + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="path") from error
    except OSError as error:
        raise NotAllowed(f"{path} cannot be read: {error.strerror}", fix="look at its rights") from error
    if len(content) > most_bytes:
        raise TooLarge(f"{path} has more than {most_bytes} bytes", fix="read a part of it by a command", field="path")
    return content
