"""A call that a limit of its own API key refuses: how that limit is raised, which is not in accounts.yaml."""

from collections.abc import Generator
from contextlib import contextmanager

from blocks.accounts.account import Accounts, Quota
from blocks.accounts.standing import quota_of
from blocks.errors import BudgetExceeded, LimitReached
from blocks.keys import ApiKey

OPTIONS = {"usd_per_day": "--usd-per-day USD", "tpd": "--tokens-per-day TOKENS"}
"""Of `c500 keys limit`, by the field of `Quota` that they set; see `quota_of`."""


@contextmanager
def own_limits_named(key: ApiKey, accounts: Accounts) -> Generator[None]:
    """Within, a refusal by a limit of the key says how that is raised.

    Args:
        key: Whose call it is.
        accounts: The file with the limits of the keys; where the file's own is lower, it is the one to raise.
    """
    try:
        yield
    except (BudgetExceeded, LimitReached) as error:
        if options := _options(key, accounts, error.details.get("limits") or ()):
            error.fix = f"have the limit of this API key raised: c500 keys limit {key.key_id} {' '.join(options)}"
        raise


def _options(key: ApiKey, accounts: Accounts, refused: tuple[str, ...] | list[str]) -> list[str]:
    own, in_force = quota_of(key), accounts.budgets.users.get(key.key_id, Quota())
    return [
        option
        for name, option in OPTIONS.items()
        if f"user/{key.key_id}/{name}" in refused and getattr(own, name) == getattr(in_force, name)
    ]
