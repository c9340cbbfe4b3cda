"""How programs are started: what ends them with us, what bounds them, and a gate that opens once all that stands.

No shell ever sees a command of an agent: the two scripts here are ours, and hand on their arguments as they are.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from blocks.errors import BadInput, NotFound, Unsupported
from blocks.sandbox.cgroup import Group
from blocks.sandbox.protocol import SandboxLimits

ENTER = '[ "$PPID" = "$1" ] && { [ -z "$2" ] || echo $$ > "$2"; } || exit 125; shift 2; exec "$@"'
"""Gives up where the caller died before the signal for its death was asked for, else enters the control group."""

ENTER_AS_ROOT = f"mount -o remount,bind,ro /dev || exit 125; {ENTER}"
"""Has the host's devices read-only, in mounts of its own: bubblewrap binds them as they are, and root outside is their
owner inside, too, who could take /dev/null from everyone."""

GATE = 'echo ready; IFS= read -r go && [ "$go" = go ] || exit 125; exec "$@"'
"""Lets the program start when the caller says so; a caller that is gone does not."""

SHELL = "/bin/sh"
PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEM_PATH = "/usr/bin:/bin"
LAUNCH_ENV = {"PATH": SYSTEM_PATH}
"""Of what starts the sandbox: nothing of ours, so that no process around it holds a secret."""

VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

DIES_WITH_US = ("--pdeathsig", "KILL")
NO_CORE = 1
"""Bytes of a core dump: with 0 the kernel still starts a handler on the host for it, with 1 it does not (core(5))."""


def tool(name: str) -> str:
    """The path of a program of the system. Raises `Unsupported` where it is not there."""
    path = shutil.which(name, path=SYSTEM_PATH)
    if path is None:
        raise Unsupported(f"the sandbox needs the program {name}", fix="install bubblewrap and util-linux", tool=name)
    return path


def entering(group: Group | None) -> list[str]:
    """Begins a command: it dies with us, in its control group."""
    return [tool("setpriv"), *DIES_WITH_US, "--no-new-privs", "--", *_script(ENTER, group)]


def entering_bubblewrap(group: Group | None) -> list[str]:
    """Begins a command that goes on with bubblewrap, which takes away all rights but those of groups and devices."""
    if os.geteuid() != 0:
        return [tool("setpriv"), *DIES_WITH_US, "--", *_script(ENTER, group)]
    dying = (tool("setpriv"), *DIES_WITH_US, "--clear-groups", "--")
    return [tool("unshare"), "--mount", "--", *dying, *_script(ENTER_AS_ROOT, group)]


def _script(script: str, group: Group | None) -> list[str]:
    return [SHELL, "-c", script, "sh", str(os.getpid()), str(group.door) if group else ""]


def bounded(argv: Sequence[str], limits: SandboxLimits, env: Mapping[str, str], *, processes: int) -> list[str]:
    """Ends a command: under limits, behind the gate, with this environment only.

    The environment comes last, so that no variable, such as LD_PRELOAD, has a say in how the limits are set.
    """
    bounds = {
        "as": limits.memory_bytes,
        "cpu": limits.cpu_s,
        "fsize": limits.file_bytes,
        "nproc": processes,
        "nofile": limits.open_files,
        "core": NO_CORE,
    }
    variables = [f"{name}={value}" for name, value in env.items()]
    return [
        tool("prlimit"),
        *(f"--{name}={value}:{value}" for name, value in bounds.items()),
        "--",
        *(SHELL, "-c", GATE, "sh"),
        *(tool("env"), "-i", "--", *variables, *argv),
    ]


def checked_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """The arguments, once a program can be given them. Raises `BadInput`."""
    if isinstance(argv, str) or not argv or not argv[0]:
        raise BadInput("there is no program to run", fix='give a list: ["ls", "-l"]', field="argv")
    if "=" in argv[0]:
        raise BadInput(f"{argv[0]!r:.100} is no name of a program", fix="set variables with env", field="argv")
    if any("\0" in one for one in argv):
        raise BadInput("an argument holds a NUL character", fix="leave it out", field="argv")
    return tuple(argv)


def checked_env(env: Mapping[str, str]) -> dict[str, str]:
    """The variables, once a program can be given them. Raises `BadInput`."""
    for name, value in env.items():
        if not VARIABLE.fullmatch(name) or "\0" in value:
            raise BadInput(f"{name!r:.100} cannot be an environment variable", fix="use [A-Za-z0-9_]", field="env")
    return dict(env)


def checked_workspace(workspace: Path) -> Path:
    """The real path of a workspace. Raises `NotFound`, and `BadInput` for one that is everything."""
    folder = workspace.expanduser().resolve()
    if not folder.is_dir():
        raise NotFound(f"there is no workspace {folder}", fix="make the folder first", field="workspace")
    if folder == Path(folder.anchor):
        raise BadInput("the whole file system cannot be a workspace", fix="name a folder in it", field="workspace")
    return folder
