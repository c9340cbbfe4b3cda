"""Programs under limits, without a boundary around them.

For development only: such a program can read and send whatever our user can. What this keeps: no shell, programs of
the system only, none of our environment, limits, and an end.
"""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from blocks.errors import NotAllowed, Unsupported
from blocks.sandbox import cgroup
from blocks.sandbox.launch import PATH, bounded, checked_argv, checked_env, checked_workspace, entering
from blocks.sandbox.program import Start, run
from blocks.sandbox.protocol import UNTOLD, Completed, Level, SandboxLimits

OUTSIDE_OF_GROUPS = 4096
"""RLIMIT_NPROC counts all processes of our user; a smaller number could stop ours."""


class Restricted:
    """No boundary: programs see the machine as we do."""

    name: Level = "restricted"

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
        if not writable:
            raise Unsupported(
                "the restricted sandbox cannot keep a program from writing", fix="use bubblewrap", field="writable"
            )
        folder, program = checked_workspace(workspace), _of_the_system(checked_argv(argv))
        variables = {"PATH": PATH, "HOME": str(folder), "LANG": "C.UTF-8"} | checked_env(env)
        group = _group(limits)
        try:
            start = Start(
                argv=(
                    *entering(group),
                    *bounded(program, limits, variables, processes=OUTSIDE_OF_GROUPS),
                ),
                folder=folder,
                group=group,
            )
            end = await run(start, workspace=str(folder), limits=limits, stdin=stdin)
        finally:
            if group:
                group.remove()
        return end.completed(self.name)


def _group(limits: SandboxLimits) -> cgroup.Group | None:
    base = cgroup.base()
    return cgroup.Group.made(base, processes=limits.processes, memory_bytes=limits.memory_bytes) if base else None


def _of_the_system(argv: tuple[str, ...]) -> tuple[str, ...]:
    """The arguments with the program's whole path. Raises `NotAllowed` for one that is not the system's."""
    allowed = PATH.split(os.pathsep)
    found = shutil.which(argv[0], path=PATH)
    if found is None or str(Path(found).parent) not in allowed:
        raise NotAllowed(
            f"{argv[0]!r:.100} is no program of the system", fix=f"run programs of {', '.join(allowed)}", field="argv"
        )
    return (found, *argv[1:])
