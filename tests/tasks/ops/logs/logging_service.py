"""Logs of a service that does not exist."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 11, 22, 8, tzinfo=UTC)
USERS = ("alice", "bob", "carol", "dave", "erin")


def uuid(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


KINDS: tuple[Callable[[random.Random], str], ...] = (
    lambda chance: f"INFO api.http GET /v1/orders/{chance.randrange(10**7)} 200 {chance.randrange(900)}ms",
    lambda chance: f"INFO api.http POST /v1/orders 201 user={chance.choice(USERS)} request_id={uuid(chance)}",
    lambda chance: f"DEBUG db.pool acquired connection {chance.randrange(64)} in {chance.random() * 9:.3f} ms",
    lambda chance: f"WARN cache.redis slow command GET session:{chance.getrandbits(64):016x}",
    lambda chance: f"ERROR db.query timeout after {chance.randrange(1000, 9000)} ms on table orders",
)
WEIGHTS = (50, 25, 20, 4, 1)


def lines(count: int, *, seed: int = 1, begin: datetime = BEGIN, per_s: float = 20) -> Iterator[str]:
    """So many lines, a twentieth of a second apart."""
    chance = random.Random(seed)
    for number in range(count):
        at = begin + timedelta(seconds=number / per_s)
        yield f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond // 1000:03d}Z {chance.choices(KINDS, WEIGHTS)[0](chance)}"


def text(count: int, **facts: object) -> str:
    """So many lines, as a file has them."""
    return "".join(f"{line}\n" for line in lines(count, **facts))  # type: ignore[arg-type]
