"""A program that ends with the process that wanted it, also when that is killed. Standard library only: it is run as a
file, `leash.py PARENT PROGRAM ARGUMENT…`, as the leader of a session of its own.

A watcher beside the program kills its whole group. The kernel's own way (`PR_SET_PDEATHSIG`) reaches a program but not
what it starts, and launchers as npx and uvx start the server as a child.
"""

import os
import select
import signal
import sys

LEFT_TO_THE_PROGRAM = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main() -> None:
    """Become the program, with a watcher beside it."""
    parent, *command = sys.argv[1:]
    ends = [os.pidfd_open(int(parent)), os.pidfd_open(os.getpid())]
    if os.getppid() != int(parent):
        sys.exit("whoever wanted this program is gone")
    if (between := os.fork()) == 0:
        if os.fork() == 0:
            _watch(ends)
        os._exit(0)
    os.waitpid(between, 0)  # the watcher is nobody's child: a program that waits for all of its own would wait for it
    for name in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores them, and a program would inherit that
        signal.signal(name, signal.SIG_DFL)
    try:
        os.execvp(command[0], command)  # noqa: S606 - that is what we are for
    except OSError as error:
        sys.exit(f"{command[0]} cannot be started: {error.strerror}")


def _watch(ends: list[int]) -> None:
    """Wait until the parent or the program has ended, then kill what is left of the group, ourselves too."""
    for name in LEFT_TO_THE_PROGRAM:
        signal.signal(name, signal.SIG_IGN)
    for stream in range(3):  # else whoever reads from the program would wait for us
        os.close(stream)
    select.select(ends, [], [])
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
