"""Putting a profile in force that expires, as during an incident: who did it, why, and until when."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import AwareDatetime, StringConstraints, ValidationError, model_validator

from blocks.errors import BadInput, StoreFailed
from blocks.model import Frozen
from blocks.policy.rule import LONGEST_S, ProfileName
from blocks.whole_file import sync_folder, write_whole

FILE = "activation.json"

SKEW = timedelta(seconds=60)
"""So far may another machine's clock be ahead; a clock that was set back further brings no activation back."""

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class Activation(Frozen):
    """A profile in force for some time.

    Attributes:
        profile: Which.
        by: Who put it in force.
        reason: Why.
        at: Since when.
        until: Until when.
    """

    profile: ProfileName = "incident"
    by: Said
    reason: Said
    at: AwareDatetime
    until: AwareDatetime

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if not timedelta(0) < self.until - self.at <= timedelta(seconds=LONGEST_S):
            raise ValueError(f"it lasts more than 0 and at most {LONGEST_S / 3600:g} hours")
        return self

    def holds(self, now: datetime) -> bool:
        """Whether it is in force at a time."""
        return self.at - SKEW <= now < self.until


def activate(
    folder: Path,
    by: str,
    reason: str,
    lasts_s: float | None = None,
    *,
    until: datetime | None = None,
    profile: str = "incident",
    now: datetime | None = None,
) -> Activation:
    """Put a profile in force; it takes the place of one that is.

    Args:
        folder: Where that is written down; agents must not be able to write there.
        by: Who does it.
        reason: Why.
        lasts_s: For how many seconds, at most 24 hours.
        until: Or until when, with its zone.
        profile: Which.
        now: The time, with its zone.

    Raises:
        BadInput: nobody is named, or no reason, or no end, or it lasts too long.
        StoreFailed: it cannot be written; what was in force still is.
    """
    activation = _activation(profile, by, reason, now or datetime.now(UTC), lasts_s, until)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(folder / FILE, activation.model_dump_json().encode())
    except OSError as error:
        raise StoreFailed(f"{folder / FILE}: {error.strerror}", fix="make the folder writable for you") from error
    return activation


def _activation(
    profile: str, by: str, reason: str, at: datetime, lasts_s: float | None, until: datetime | None
) -> Activation:
    try:
        if (lasts_s is None) == (until is None):
            raise ValueError("one of the two ends it")
        end = until if lasts_s is None else at + timedelta(seconds=lasts_s)
        return Activation.model_validate({"profile": profile, "by": by, "reason": reason, "at": at, "until": end})
    except (ValueError, OverflowError):  # pydantic's error is a ValueError
        raise BadInput(
            f"{profile[:32]!r} cannot be put in force so",
            fix=f"say who does it, why, and its end: lasts_s or until, at most {LONGEST_S / 3600:g} hours from now",
            field="lasts_s",
        ) from None


def deactivate(folder: Path) -> bool:
    """End what is in force before its time; False where nothing was. Raises `StoreFailed`."""
    try:
        (folder / FILE).unlink()
        sync_folder(folder)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreFailed(f"{folder / FILE}: {error.strerror}", fix="remove the file as its owner") from error
    return True


def active(folder: Path, now: datetime) -> Activation | None:
    """What is in force at a time.

    Raises:
        StoreFailed: the file is there and cannot be read, or is damaged; then nothing is in force.
    """
    path = folder / FILE
    try:
        activation = Activation.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise StoreFailed(f"{path} cannot be read", fix="remove it, and put the profile in force again") from error
    return activation if activation.holds(now) else None
