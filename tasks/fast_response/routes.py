"""Who may give a reply, and for whom it is asked."""

from typing import TYPE_CHECKING

from blocks.accounts.chat import Caller, ChatRequest
from blocks.accounts.routes import Route, candidates
from tasks.fast_response.asked import FastOptions

if TYPE_CHECKING:
    from blocks.accounts.pool import Pool


def caller_of(asked: FastOptions) -> Caller:
    """For whom a reply is asked."""
    return Caller(
        user=asked.user, job="fast-response", priority="high", deadline_s=asked.deadline_s, labels=asked.accounts
    )


def routes_for(pool: "Pool", asked: FastOptions) -> list[Route]:
    """All models of all accounts that may answer, fallbacks included.

    Raises:
        Unsupported: no account has such a model, or is of such a label.
    """
    tier = None if asked.model else "simple"
    request = ChatRequest(messages=({"role": "user", "content": ""},), model=asked.model, tier=tier)
    groups = candidates(pool.routes, pool.accounts, request, caller_of(asked))
    return [route for group in groups for route in group]
