"""Why a call got no answer, as a typed error."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from blocks.accounts.account import MONEY, USD_UNIT
from blocks.accounts.attempt import Attempt
from blocks.accounts.failure import ACTIONS, Kind
from blocks.accounts.routes import Plan
from blocks.errors import (
    BadInput,
    BudgetExceeded,
    C500Error,
    EngineFailed,
    EngineUnavailable,
    LimitReached,
    TimedOut,
    TooLarge,
)
from blocks.limits.limit import Refusal

ERRORS: dict[Kind, tuple[type[C500Error], str]] = {
    "transient": (EngineUnavailable, "try again later, or add accounts of another provider"),
    "quota": (LimitReached, "try again later, or add accounts"),
    "exhausted": (EngineUnavailable, "top the accounts up"),
    "auth": (EngineUnavailable, "correct the keys of the accounts; c500 accounts check tries them"),
    "context": (TooLarge, "shorten it, have its history trimmed, or have it split (map-reduce)"),
    "content": (EngineFailed, "change the request"),
    "bug": (BadInput, "correct the request, or the account's provider and base_url in accounts.yaml"),
}
"""The error for a kind of failure, and its fix."""


BUDGETS = {*MONEY, "tokens"}
"""Last parts of limits' keys that are budgets: what they have used does not come back within minutes."""


FAR_S = 600.0

PURSES = ("agent/", "dispatch/")


def unserved(refusal: Refusal, attempt: Attempt, groups: Sequence[Sequence[Plan]]) -> C500Error:
    """The error for a call that finds no room.

    Args:
        refusal: The limits in the way; without keys no account works.
        attempt: The call.
        groups: What it could have been.
    """
    accounts = sorted({plan.route.account.name for group in groups for plan in group})
    if not refusal.keys and attempt.failures:
        return failed(attempt)
    if not refusal.keys:
        return EngineUnavailable(
            f"no account works for the moment: {', '.join(accounts)}", fix="see c500 accounts check", accounts=accounts
        )
    has_budget = any(key.rsplit("/", 1)[-1] in BUDGETS for key in refusal.keys)
    when = "there will be none" if refusal.wait_s is None else f"there may be some {_when(refusal.wait_s)}"
    return (BudgetExceeded if has_budget else LimitReached)(
        f"{', '.join(refusal.keys)} leaves no room; {when}{_needed(groups) if has_budget else ''}",
        fix=_raise(refusal.keys) if has_budget else "try again later, add accounts, or ask for less",
        limits=list(refusal.keys),
        retry_after_s=refusal.wait_s,
        failures=attempt.told,
    )


def _needed(groups: Sequence[Sequence[Plan]]) -> str:
    """What a call has to have in reserve: with the longest answer that it may get."""
    costs = [plan.cost_units for group in groups for plan in group if plan.cost_units is not None]
    if not costs:
        return ""
    return (
        f"; a call may cost ${min(costs) / USD_UNIT:.6f}, less with a smaller output limit (of an agent "
        "`limits.output_tokens`)"
    )


def _when(wait_s: float) -> str:
    """When room is again, for people: what is far off by the clock."""
    if wait_s < FAR_S:
        return f"in {wait_s:.0f} s"
    begun_minute = timedelta(seconds=wait_s + 59)
    return f"from {datetime.now(UTC) + begun_minute:%Y-%m-%d %H:%M} UTC"


def _raise(keys: Sequence[str]) -> str:
    """Where the budget stands that is spent: purses are of a run, all others of the file."""
    is_of_file = any(not key.startswith(PURSES) for key in keys)
    return "raise the budget in accounts.yaml" if is_of_file else "raise the budget of the run"


def failed(attempt: Attempt) -> C500Error:
    """The error for a call that was sent and failed."""
    last = attempt.failures[-1][1]
    error, fix = ERRORS[last.kind]
    times = f" after {len(attempt.failures)} attempts" if len(attempt.failures) > 1 else ""
    fix = last.error.fix if last.error else fix
    message = f"{ACTIONS[last.kind].meaning} ({attempt.told[-1]}){times}"
    return error(message, fix=fix, failures=attempt.told)


def late(attempt: Attempt) -> TimedOut:
    """The error for a call whose deadline passed."""
    told = "; ".join(attempt.told)
    return TimedOut(
        f"no answer within {attempt.caller.deadline_s:g} s" + (f": {told}" if told else ""),
        fix="give it more time, or more accounts",
        failures=attempt.told,
    )
