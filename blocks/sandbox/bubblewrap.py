"""A sandbox of Linux namespaces, made by bubblewrap: the boundary for what agents run."""

import os
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.errors import Unsupported
from blocks.sandbox import cgroup, mounts
from blocks.sandbox.launch import (
    LAUNCH_ENV,
    PATH,
    bounded,
    checked_argv,
    checked_env,
    checked_workspace,
    entering_bubblewrap,
    tool,
)
from blocks.sandbox.program import GO, READY, Start, run
from blocks.sandbox.protocol import UNTOLD, Completed, Level, SandboxLimits
from blocks.sandbox.seccomp import seccomp_filter

ENV = {"PATH": PATH, "HOME": "/tmp", "TMPDIR": "/tmp", "LANG": "C.UTF-8", "USER": "nobody"}  # noqa: S108 - its own /tmp

OUTSIDE, FIRST = 1, 1
"""Processes that are not the program's: bubblewrap itself, and the first process of the namespace."""

PROBE_S = 20.0


class Bubblewrap:
    """Programs see a read-only system, an empty /tmp, one workspace, no network, and no process but their own.

    Args:
        readable: More folders that they may read, where they lie.
    """

    name: Level = "bubblewrap"

    def __init__(self, readable: Sequence[Path] = ()) -> None:
        self._readable = tuple(readable)

    async def run(
        self,
        argv: Sequence[str],
        *,
        workspace: Path,
        limits: SandboxLimits = UNTOLD,
        stdin: bytes = b"",
        env: Mapping[str, str] = {},
        writable: bool = True,
    ) -> Completed:
        """See `Sandbox.run`."""
        folder, program = checked_workspace(workspace), checked_argv(argv)
        with self._start(program, folder, limits, ENV | checked_env(env), writable=writable) as start:
            end = await run(start, workspace=str(folder), limits=limits, stdin=stdin)
        return end.completed(self.name)

    def probe(self) -> None:
        """Run a program that does nothing, which takes some 15 ms. Raises `Unsupported` with the reason it did not."""
        with TemporaryDirectory() as folder, self._start(("true",), Path(folder), UNTOLD, ENV) as start:
            try:
                done = subprocess.run(
                    start.argv,
                    pass_fds=start.fds,
                    input=GO,
                    capture_output=True,
                    timeout=PROBE_S,
                    env=LAUNCH_ENV,
                    check=False,
                )
            except (OSError, subprocess.TimeoutExpired) as error:
                raise _not_here(str(error)) from error
        if done.returncode or done.stdout != READY:
            raise _not_here(done.stderr.decode(errors="replace").strip()[-500:] or f"exit status {done.returncode}")

    @contextmanager
    def _start(
        self, argv: Sequence[str], folder: Path, limits: SandboxLimits, env: Mapping[str, str], *, writable: bool = True
    ) -> Generator[Start]:
        with ExitStack() as stack:
            group = _group(limits)
            if group:
                stack.callback(group.remove)
            handed = mounts.Handed(stack)
            told, tell = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            stack.callback(os.close, told)
            options = [*mounts.NAMESPACES, "--info-fd", str(handed.add(tell))]
            options += mounts.system(handed, limits, self._readable)
            options += mounts.workspace(handed, folder, writable=writable)
            options += ["--remount-ro", "/", "--seccomp", handed.content(seccomp_filter())]
            yield Start(
                argv=(
                    *entering_bubblewrap(group),
                    *(tool("bwrap"), *options, "--"),
                    *bounded(argv, limits, env, processes=limits.processes + FIRST),
                ),
                fds=tuple(handed.fds),
                told=told,
                group=group,
            )


def _group(limits: SandboxLimits) -> cgroup.Group | None:
    """The control group of a run; None where RLIMIT_NPROC does, which counts within the namespace since Linux 5.14."""
    base = cgroup.base()
    if base:
        processes = limits.processes + OUTSIDE + FIRST
        return cgroup.Group.made(base, processes=processes, memory_bytes=limits.memory_bytes)
    if os.geteuid() == 0:
        raise Unsupported(
            "root's processes in a sandbox are limited by a control group only, and none can be made here",
            fix="run C500 as a user, or where /sys/fs/cgroup can be written",
        )
    return None


def _not_here(reason: str) -> Unsupported:
    return Unsupported(
        f"programs cannot be run in bubblewrap here: {reason}",
        fix="install bubblewrap 0.10 or a patched 0.8; allow user namespaces, also in AppArmor and the container",
        reason=reason,
    )
