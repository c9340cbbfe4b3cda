"""All limits that an accounts file makes, to show how they stand."""

from collections.abc import Mapping, Sequence

from blocks.accounts.account import Accounts, Quota
from blocks.accounts.routes import routes_of
from blocks.keys import ApiKey
from blocks.limits.limit import Limit


def account_limits(accounts: Accounts) -> list[Limit]:
    """The limits of the accounts that are enabled and of their models, each once."""
    found = {limit.key: limit for route in routes_of(accounts) for limits in route.limits for limit in limits.values()}
    return list(found.values())


def budget_limits(accounts: Accounts, users: Sequence[str] = (), sessions: Sequence[str] = ()) -> list[Limit]:
    """The limits of callers: of all together, of the users that the file names, and of these.

    Args:
        accounts: The file.
        users: More users.
        sessions: Sessions.
    """
    budgets = accounts.budgets
    quotas = {"everyone": budgets.everyone}
    quotas |= {f"user/{user}": budgets.users.get(user, budgets.user) for user in (*budgets.users, *users)}
    quotas |= {f"session/{session}": budgets.session for session in sessions}
    return [limit for owner, quota in quotas.items() for limit in quota.limits(owner).values()]


def with_quotas(accounts: Accounts, quotas: Mapping[str, Quota]) -> Accounts:
    """The file with further limits of single users; of two for the same the smaller one counts.

    Args:
        accounts: The file.
        quotas: By user.
    """
    budgets = accounts.budgets
    users = {user: _tighter(budgets.users.get(user, budgets.user), quota) for user, quota in quotas.items()}
    changed = budgets.model_copy(update={"users": {**budgets.users, **users}})
    return accounts.model_copy(update={"budgets": changed})


def _tighter(one: Quota, other: Quota) -> Quota:
    fields = {
        name: min(given)
        for name in Quota.model_fields
        if (given := [value for quota in (one, other) if (value := getattr(quota, name)) is not None])
    }
    return Quota(**fields)


def quota_of(key: ApiKey) -> Quota:
    """The budgets of an API key; it is the user of its calls."""
    return Quota(usd_per_day=key.usd_per_day, tpd=key.tokens_per_day)
