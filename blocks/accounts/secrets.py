"""The secrets of accounts: read from where `accounts.yaml` says, kept for a minute, never printed."""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from blocks.accounts.account import Account
from blocks.accounts.sealed import unseal
from blocks.errors import BadInput, NotFound
from blocks.progress import in_thread

FRESH_S = 60.0
"""A secret is read again after so long, or at once when the provider refuses it: so it is rotated without a restart."""


@dataclass
class Secrets:
    """The secrets of a pool.

    Args:
        folder: Where relative paths of `file:` secrets begin.
    """

    folder: Path
    _known: dict[tuple[str, ...], tuple[float, str]] = field(
        default_factory=dict[tuple[str, ...], tuple[float, str]], repr=False
    )

    async def secret(self, account: Account) -> str:
        """The secret of an account; empty when it needs none.

        Raises:
            NotFound, BadInput: it is not there, or cannot be read; `field` names the account.
        """
        read_at, secret = self._known.get(_identity(account), (float("-inf"), ""))
        if time.monotonic() - read_at > FRESH_S:
            secret = await self._read(account)
            self._known[_identity(account)] = (time.monotonic(), secret)
        return secret

    def refused(self, account: Account) -> None:
        """The provider refuses the secret: read it again before the next call."""
        self._known.pop(_identity(account), None)

    async def _read(self, account: Account) -> str:
        kind, _, place = account.key.partition(":")
        if kind == "none":
            return ""
        if kind == "env":
            found = os.environ.get(place)
            if not found:
                raise _missing(account, f"the environment variable {place} is not set", f"set {place}")
            return found
        if kind == "prefect":
            return await _from_prefect(account, place)
        file, _, name = place.partition("#")
        path = self.folder / Path(file).expanduser()
        secrets = await in_thread(unseal, path)
        if name not in secrets:
            raise _missing(account, f"{path} has no secret {name!r}", f"add it: c500 accounts seal {path} {name}")
        return secrets[name]


def _identity(account: Account) -> tuple[str, ...]:
    """With its address: the secret of one server is never sent to another, whatever the file says by now."""
    return account.name, account.key, account.url


async def _from_prefect(account: Account, name: str) -> str:
    from prefect.blocks.system import Secret

    try:
        block = await Secret.aload(name)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    except ValueError as error:
        raise _missing(account, f"Prefect has no secret block {name!r}", "make it in the Prefect UI") from error
    value: object = block.get()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(value, str) or not value:
        raise BadInput(
            f"the Prefect secret {name!r} of account {account.name} is no text",
            fix="give it a text",
            field=f"accounts.{account.name}.key",
        )
    return value


def _missing(account: Account, problem: str, fix: str) -> NotFound:
    return NotFound(f"account {account.name}: {problem}", fix=fix, field=f"accounts.{account.name}.key")
