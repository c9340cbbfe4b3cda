"""Money and tokens of one run of an agent."""

from blocks.accounts.account import USD_UNIT
from blocks.accounts.chat import UNBOUNDED
from blocks.limits.limit import Limit
from tasks.agents.definition import AgentLimits


def purse_of(run_id: str, limits: AgentLimits) -> tuple[Limit, ...]:
    """The limits of a run, which calls side by side never pass; kept in the limiter, so over all attempts."""
    usd, tokens = limits.budget_usd, limits.tokens
    amounts = {"usd": UNBOUNDED if usd is None else round(usd * USD_UNIT), "tokens": tokens or UNBOUNDED}
    return tuple(
        Limit(key=f"agent/{run_id}/{unit}", amount=amount, kind="calendar", period="ever")
        for unit, amount in amounts.items()
    )
