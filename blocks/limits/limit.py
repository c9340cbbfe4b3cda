"""What is limited, what a call asks for, and what the limiter answers."""

from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

from pydantic import Field

from blocks.model import Frozen

Kind = Literal["rate", "calendar", "concurrency"]
"""`rate`: at most so much within any `window_s` seconds. `calendar`: within one hour, day or month, then anew.
`concurrency`: at the same time."""

Period = Literal["hour", "day", "month", "ever"]

Amount = Annotated[int, Field(ge=0, le=2**53)]
"""The largest whole number that the floating-point numbers of Redis's Lua tell from its neighbours."""


class Limit(Frozen):
    """At most so much of something in a window.

    Attributes:
        key: What it limits; the same key is the same window, in whatever process.
        amount: The most there may be: requests, tokens, calls at once, or 10^-9 dollars.
        kind: How the window moves.
        window_s: Length of a `rate` window in seconds.
        period: Of a `calendar` limit.
        utc_offset_s: When the periods of a `calendar` limit begin, in seconds east of UTC.
    """

    key: str = Field(min_length=1)
    amount: Amount
    kind: Kind = "rate"
    window_s: float = Field(default=60.0, gt=0)
    period: Period = "day"
    utc_offset_s: int = 0


class Charge(NamedTuple):
    """What a call asks of one limit. A tuple: some are made for every account at every call.

    Attributes:
        limit: Which.
        amount: An upper bound of what it will use, as `Amount`.
    """

    limit: Limit
    amount: int


class Option(NamedTuple):
    """One way to make a call: all its charges are granted together, or none.

    Attributes:
        name: What is chosen with it, for instance an account.
        charges: What it takes; of each limit once.
    """

    name: str
    charges: tuple[Charge, ...]


@dataclass(frozen=True, kw_only=True)
class Reservation:
    """A granted call; it holds its charges until it is settled or released, or its lease ends.

    Attributes:
        reservation_id: Its identity.
        option: What was chosen.
    """

    reservation_id: str
    option: Option


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why no option was granted.

    Attributes:
        keys: The limits in the way, of the option that is free soonest.
        wait_s: When that option may be free: nothing changes before but by calls that end. None when it never is,
            because a charge is larger than its limit or a budget for ever is spent.
    """

    keys: tuple[str, ...]
    wait_s: float | None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a limit stands.

    Attributes:
        key: Of the limit.
        amount: The most there may be: as learned, else as configured.
        settled: Used within the window; of what moves out of it, up to a hundredth of the window longer.
        held: Reserved by calls that run.
        blocked_s: For how long nothing is granted, in seconds.
    """

    key: str
    amount: int
    settled: int
    held: int
    blocked_s: float = 0.0
