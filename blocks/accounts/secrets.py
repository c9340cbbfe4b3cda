"""The secrets of accounts: read from where `accounts.yaml` says, kept for a minute, never printed."""

import time
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from blocks.accounts.account import Account
from blocks.errors import BadInput, C500Error, EngineUnavailable
from blocks.secret_reference import secret_at

FRESH_S = 60.0
"""A secret is read again after so long, or at once when the provider refuses it: so it is rotated without a restart."""

log = structlog.stdlib.get_logger("c500")


@dataclass(frozen=True)
class _Known:
    """A secret, and when it was read and first seen, in monotonic seconds."""

    secret: str = field(repr=False)
    read_at: float
    seen_at: float


@dataclass
class Secrets:
    """The secrets of a pool.

    Args:
        folder: Where relative paths of `file:` secrets begin.
    """

    folder: Path
    _known: dict[tuple[str, ...], _Known] = field(default_factory=dict[tuple[str, ...], _Known], repr=False)

    async def secret(self, account: Account) -> str:
        """The secret of an account; empty when it needs none.

        Where the store of secrets is away for the moment, the one that was read last is given.

        Raises:
            NotFound, BadInput: it is not there, or is no key; `field` names the account.
            NotAllowed: the sealed file does not open.
            EngineUnavailable: the store of secrets cannot be reached.
        """
        known = self._known.get(_identity(account))
        if known is not None and time.monotonic() - known.read_at <= FRESH_S:
            return known.secret
        try:
            return await self._again(account)
        except EngineUnavailable as error:
            if known is None:
                raise
            log.warning("secret_not_read", account=account.name, error=str(error))
            self._known[_identity(account)] = _Known(known.secret, time.monotonic(), known.seen_at)
            return known.secret

    async def renewed(self, account: Account, sent_at: float) -> bool:
        """Read the secret again, as the provider refuses it.

        Args:
            account: Whose.
            sent_at: When the call was sent, in monotonic seconds.

        Returns:
            Whether another one has been seen since: then the next call may well be answered.
        """
        known = self._known.get(_identity(account))
        if known is not None and known.seen_at > sent_at:
            return True
        try:
            secret = await self._again(account)
        except C500Error:
            secret = None
        if known is not None and secret not in (None, known.secret):
            return True
        self._known.pop(_identity(account), None)  # read anew before the next call
        return False

    async def _again(self, account: Account) -> str:
        place = f"accounts.{account.name}.key"
        secret = await secret_at(account.key, self.folder, place)
        if not secret.isascii():  # what an HTTP header takes; never quoted here
            raise BadInput(
                f"the key of account {account.name} holds what no key has: it is no ASCII",
                fix="give the key alone",
                field=place,
            )
        known, now = self._known.get(_identity(account)), time.monotonic()
        is_same = known is not None and known.secret == secret
        self._known[_identity(account)] = _Known(secret, now, known.seen_at if known and is_same else now)
        return secret


def _identity(account: Account) -> tuple[str, ...]:
    """With its address: the secret of one server is never sent to another, whatever the file says by now."""
    return account.name, account.key, account.url
