"""How well accounts answer: what the books say of the last minutes, of all processes."""

import time
from math import ceil
from typing import TYPE_CHECKING

from blocks.accounts.failure import ACTIONS
from blocks.model import Frozen

if TYPE_CHECKING:
    from sqlalchemy import Engine

LATELY_S = 600.0

FAULTS = tuple(kind for kind, action in ACTIONS.items() if action.retries)
"""Outcomes that tell against the account; the others are the caller's doing."""


class Health(Frozen):
    """How a model of an account answered lately.

    Attributes:
        account: The account.
        model: The model's name in `accounts.yaml`.
        calls: Calls sent; without those that were cancelled.
        faults: How many of them the account is to blame for.
        p95_ms: 95 of 100 calls that were answered took no longer; None when none was.
        last_fault: Kind of the last such failure; None when there was none.
        last_fault_at: When that was, in seconds since 1970.
    """

    account: str
    model: str
    calls: int
    faults: int
    p95_ms: float | None
    last_fault: str | None
    last_fault_at: float | None

    @property
    def ok_share(self) -> float:
        """Share of calls without a fault of the account."""
        return 1 - self.faults / self.calls if self.calls else 1.0


def health(engine: "Engine", lately_s: float = LATELY_S, now: float | None = None) -> dict[tuple[str, str], Health]:
    """The health of all accounts that were called lately, by account and model.

    Args:
        engine: Of the books.
        lately_s: How far to look back, in seconds.
        now: Seconds since 1970; by default the present.
    """
    from sqlalchemy import func, select

    from blocks.accounts.schema import CALLS

    since = (time.time() if now is None else now) - lately_s
    route = (CALLS.c.account, CALLS.c.model)
    sent = CALLS.c.outcome.not_in(("cached", "cancelled"))
    counts = (
        select(*route, CALLS.c.outcome, func.count(), func.max(CALLS.c.at))
        .where(CALLS.c.at >= since, sent)
        .group_by(*route, CALLS.c.outcome)
    )
    with engine.connect() as connection:
        rows = [(str(a), str(m), str(o), int(n), float(at)) for a, m, o, n, at in connection.execute(counts)]
        found: dict[tuple[str, str], Health] = {}
        for account, model in sorted({row[:2] for row in rows}):
            outcomes = {row[2]: row[3:] for row in rows if row[:2] == (account, model)}
            faults = {kind: outcomes[kind] for kind in FAULTS if kind in outcomes}
            last = max(faults, key=lambda kind: faults[kind][1], default=None)
            ok = outcomes.get("ok", (0, 0.0))[0]
            slow = (
                select(CALLS.c.latency_ms)
                .where(CALLS.c.at >= since, CALLS.c.account == account, CALLS.c.model == model)
                .where(CALLS.c.outcome == "ok")
                .order_by(CALLS.c.latency_ms)
                .offset(max(0, ceil(0.95 * ok) - 1))
                .limit(1)
            )
            found[account, model] = Health(
                account=account,
                model=model,
                calls=sum(count for count, _ in outcomes.values()),
                faults=sum(count for count, _ in faults.values()),
                p95_ms=connection.execute(slow).scalar() if ok else None,
                last_fault=last,
                last_fault_at=faults[last][1] if last else None,
            )
    return found
