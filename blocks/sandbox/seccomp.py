"""System calls that programs in the sandbox do not get, as a filter for the kernel.

bubblewrap leaves no capability, so most dangerous calls fail anyway. Refused here are those which need none: keyrings
are not in a namespace, a set-user-id file in the workspace would give our rights to every user of the host, and BPF,
performance events, io_uring and userfaultfd have been the way out of many a container.

Sources: seccomp(2); linux/seccomp.h, linux/filter.h, linux/audit.h; the kernel's syscall tables.
"""

import errno
import os
import platform
import struct
from collections.abc import Sequence
from functools import lru_cache

from blocks.errors import Unsupported
from blocks.model import Frozen

ALLOW, ERRNO, KILL = 0x7FFF0000, 0x00050000, 0x80000000
LOAD, IF_EQUAL, IF_SET, IF_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT = 0, 4, 16

SET_ID = 0o6000
MAKES_FILE = os.O_CREAT | (os.O_TMPFILE & ~os.O_DIRECTORY)
X32 = 0x40000000
"""The kernel's bit for the x32 calls of x86-64: the same calls under other numbers."""


class Table(Frozen):
    """The system calls of a processor.

    Attributes:
        architecture: As the kernel's audit names it.
        refused: Calls that fail with EPERM.
        missing: Calls that fail with ENOSYS, so that programs use older ones, which can be looked into.
        modes: Calls that set a file's mode: number, place of the mode, place of the flags that say whether it counts.
    """

    architecture: int
    refused: tuple[int, ...]
    missing: tuple[int, ...]
    modes: tuple[tuple[int, int, int | None], ...]


# In this order: add_key, request_key, keyctl, unshare, setns, bpf, perf_event_open, userfaultfd, io_uring_setup,
# io_uring_enter, io_uring_register, memfd_secret. Missing: openat2, whose mode lies in memory.
TABLES = {
    "x86_64": Table(
        architecture=0xC000003E,
        refused=(248, 249, 250, 272, 308, 321, 298, 323, 425, 426, 427, 447),
        missing=(437,),
        # open, creat, openat, chmod, fchmod, fchmodat, fchmodat2, mknod, mknodat
        modes=(
            (2, 2, 1),
            (85, 1, None),
            (257, 3, 2),
            (90, 1, None),
            (91, 1, None),
            (268, 2, None),
            (452, 2, None),
            (133, 1, None),
            (259, 2, None),
        ),
    ),
    "aarch64": Table(
        architecture=0xC00000B7,
        refused=(217, 218, 219, 97, 268, 280, 241, 282, 425, 426, 427, 447),
        missing=(437,),
        # openat, fchmod, fchmodat, fchmodat2, mknodat
        modes=((56, 3, 2), (52, 1, None), (53, 2, None), (452, 2, None), (33, 2, None)),
    ),
}


@lru_cache(maxsize=1)
def seccomp_filter() -> bytes:
    """The filter for this machine, as bubblewrap reads it. Raises `Unsupported` for a processor we have no table of."""
    table = TABLES.get(platform.machine())
    if table is None:
        raise Unsupported(
            f"the sandbox has no table of the system calls of {platform.machine()} processors",
            fix=f"run agents on {' or '.join(TABLES)}",
        )
    return b"".join(_program(table))


def _program(table: Table) -> Sequence[bytes]:
    steps = [_step(LOAD, ARCHITECTURE_AT), *_unless(IF_EQUAL, table.architecture, _return(KILL))]
    steps.append(_step(LOAD, NUMBER_AT))
    if table.architecture == TABLES["x86_64"].architecture:
        steps += _when(IF_AT_LEAST, X32, [_return(ERRNO | errno.ENOSYS)])
    for number in table.refused:
        steps += _when(IF_EQUAL, number, [_return(ERRNO | errno.EPERM)])
    for number in table.missing:
        steps += _when(IF_EQUAL, number, [_return(ERRNO | errno.ENOSYS)])
    for number, mode, flags in table.modes:
        steps += _when(IF_EQUAL, number, _no_set_id(mode, flags))
    return [*steps, _return(ALLOW)]


def _no_set_id(mode: int, flags: int | None) -> list[bytes]:
    check = [_argument(mode), *_when(IF_SET, SET_ID, [_return(ERRNO | errno.EPERM)]), _return(ALLOW)]
    if flags is None:
        return check
    return [_argument(flags), *_unless(IF_SET, MAKES_FILE, _return(ALLOW)), *check]


def _when(test: int, value: int, then: list[bytes]) -> list[bytes]:
    return [_step(test, value, 0, len(then)), *then]


def _unless(test: int, value: int, then: bytes) -> list[bytes]:
    return [_step(test, value, 1, 0), then]


def _argument(place: int) -> bytes:
    return _step(LOAD, ARGUMENTS_AT + 8 * place)  # the lower half of it: both processors are little-endian


def _return(value: int) -> bytes:
    return _step(RETURN, value)


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
