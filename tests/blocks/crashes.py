"""What is left when a process is killed at each of its calls to the system. Run as a program: it forks.

    python -m tests.blocks.crashes MODULE FOLDER

MODULE has `CASES`: triples of what to prepare in a folder, what to do there, and what to check afterwards, given
whether the process was killed. Prints how many points each case has.
"""

import importlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

COUNTED = ("open", "os.", "shutil.", "fcntl.", "ctypes.")

Case = tuple[Callable[[Path], None], Callable[[Path], None], Callable[[Path, bool], None]]


def die_at(point: int) -> None:
    """Be killed just before the call with this number."""
    left = point

    def count(event: str, _arguments: object) -> None:
        nonlocal left
        if event.startswith(COUNTED):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def points(case: Case, folder: Path) -> int:
    """Go through all points of a case; how many there are."""
    prepare, act, check = case
    point, killed = 0, True
    warm = folder / "warm"
    warm.mkdir(parents=True)
    prepare(warm)
    act(warm)  # imports what it needs
    while killed:
        point += 1
        place = folder / str(point)
        place.mkdir()
        prepare(place)
        if not (child := os.fork()):
            die_at(point)
            act(place)
            os._exit(0)
        status = os.waitpid(child, 0)[1]
        killed = os.WIFSIGNALED(status)
        if not killed and os.WEXITSTATUS(status):
            raise AssertionError(f"it failed by itself at point {point}")
        check(place, killed)
    return point - 1


if __name__ == "__main__":
    for number, one in enumerate(importlib.import_module(sys.argv[1]).CASES):
        sys.stdout.write(f"{points(one, Path(sys.argv[2]) / str(number))}\n")
