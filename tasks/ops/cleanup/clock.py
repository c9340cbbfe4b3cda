"""Whether the clock can be trusted: when it jumps ahead, everything looks old."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from platform import node
from re import sub

from pydantic import ValidationError

from blocks.errors import Stopped
from blocks.model import Frozen
from blocks.store.files import Files

WITHIN_S = 60.0
"""A step of the clock during a cleanup that ends it."""

BETWEEN_S = 300.0
"""A step ahead since the latest cleanup that keeps the next one from beginning."""

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class ClockJumped(Stopped):
    """The clock was set; how old files are is not known any more. As after any stop, another attempt goes on."""

    code = "CLOCK_JUMPED"


class Witness(Frozen):
    """What the clock said at the latest cleanup.

    Attributes:
        wall_s: Seconds since 1970.
        boot_s: Seconds since the machine was started, which nobody sets.
        boot_id: Which start that was.
    """

    wall_s: float
    boot_s: float
    boot_id: str


def boot_time_s() -> float:
    """Seconds since the machine was started, with its sleep."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass(frozen=True)
class Clock:
    """The time at which a cleanup began.

    Attributes:
        wall: The clock that is set.
        boot: The clock that is not.
    """

    wall: Callable[[], float] = time.time
    boot: Callable[[], float] = boot_time_s
    began: Witness = field(init=False)

    def __post_init__(self) -> None:
        boot_id = BOOT_ID.read_text().strip() if BOOT_ID.exists() else ""
        object.__setattr__(self, "began", Witness(wall_s=self.wall(), boot_s=self.boot(), boot_id=boot_id))

    @property
    def now_ns(self) -> int:
        """When it began, nanoseconds since 1970: the time for all that is decided."""
        return round(self.began.wall_s * 1e9)

    def check(self) -> None:
        """Raises `ClockJumped` where the clock was set since it began."""
        jump_s = (self.wall() - self.began.wall_s) - (self.boot() - self.began.boot_s)
        if abs(jump_s) > WITHIN_S:
            raise ClockJumped(f"the clock was set by {jump_s:+.0f} s meanwhile", fix="run it again; it goes on")

    def compare(self, earlier: Witness | None) -> None:
        """Raises `ClockJumped` where the clock was set ahead since an earlier cleanup of the same start of the
        machine."""
        if earlier is None or earlier.boot_id != self.began.boot_id:
            return
        jump_s = (self.began.wall_s - earlier.wall_s) - (self.began.boot_s - earlier.boot_s)
        if jump_s > BETWEEN_S:
            raise ClockJumped(
                f"the clock was set ahead by {jump_s:.0f} s since the latest cleanup; all looks older than it is",
                fix="set it right; or, where it is right now, say so with --trust-clock",
            )


def read_witness(files: Files) -> Witness | None:
    """What the clock of this machine said at the latest cleanup."""
    found = files.read_version(witness_key())
    try:
        return None if found is None else Witness.model_validate_json(found[0])
    except ValidationError:
        return None


def keep_witness(files: Files, clock: Clock) -> None:
    """Remember what the clock says. Raises `StoreFailed`."""
    files.put_bytes(witness_key(), clock.began.model_dump_json().encode(), "application/json")


def witness_key() -> str:
    """Where the store has what this machine's clock said."""
    return f"operations/cleanup/clock/{sub(r'[^A-Za-z0-9.-]', '-', node()) or 'machine'}.json"
