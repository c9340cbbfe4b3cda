"""Who is making which change: two tasks of the same intent, of one team or of several, make it once."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TypeVar

import structlog
from pydantic import ValidationError

from blocks.errors import C500Error, Conflict, NotFound, TimedOut
from blocks.progress import in_thread
from blocks.store.files import Files
from tasks.agents.team.claim import Claim, Claimant, Claims, Shared, damaged, parsed
from tasks.agents.team.intent import Intent, is_same, words_of
from tasks.agents.team.result import TaskOutcome

T = TypeVar("T")

INTENTS = "agents/intents"

TERM_S = 60.0
"""Seconds after which the claim of somebody who does not renew it is free. Clocks of several machines may differ by a
third of it: keep them in time with NTP."""

REUSE_S = 600.0
"""Seconds for which the result of a change stands for the same change of others; later it is made again."""

POLL_S = 0.5
TRIES = 50

log = structlog.stdlib.get_logger("c500")


Changed = tuple[Sequence[Claim] | None, T]
"""The claims as they are to be, None to leave them as they are; and what is told to the caller."""


class Intents:
    """Claims in the store.

    Args:
        files: The store.
        workspace: Where changes that are not shared happen.
        term_s: Seconds after which a claim that is not renewed is free.
        reuse_s: Seconds for which a result stands for others.
        poll_s: Seconds between two looks at somebody else's claim.
        now: The time.
    """

    def __init__(
        self,
        files: Files,
        workspace: str,
        *,
        term_s: float = TERM_S,
        reuse_s: float = REUSE_S,
        poll_s: float = POLL_S,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._files, self._now = files, now
        self._place = sha256(workspace.encode(errors="surrogatepass")).hexdigest()[:16]
        self._term, self._reuse, self._poll_s = timedelta(seconds=term_s), timedelta(seconds=reuse_s), poll_s

    async def once(
        self,
        intent: Intent,
        by: Claimant,
        perform: Callable[[], Awaitable[TaskOutcome]],
        *,
        wait_s: float,
        ignoring: frozenset[str] = frozenset(),
    ) -> Shared:
        """Make a change, or have the result of whoever makes the same one.

        Args:
            intent: The change.
            by: Who wants it.
            perform: Makes it; only an outcome that is good, and without refused calls, stands for others.
            wait_s: How long somebody else is waited for.
            ignoring: Owners whose claims do not count: what was planned to be done again after them.

        Raises:
            TimedOut: somebody else is still at it; making it beside them would make it twice.
            StoreFailed: the claims cannot be read.
        """
        until = time.monotonic() + wait_s
        while True:
            claim = await in_thread(self.take, intent, by, ignoring)
            if not claim.done and claim.by.owner == by.owner:
                return await self._made(claim, perform)
            if claim.done and (outcome := await in_thread(self.outcome, claim)) is not None:
                return Shared(outcome=outcome, claim=claim)
            if time.monotonic() >= until:
                told = f"run {claim.by.run_id} has been making the same change ({claim.intent}) for over {wait_s:g} s"
                raise TimedOut(told, fix="see how far it is with `c500 audit why`, then go on with this run")
            await asyncio.sleep(self._poll_s)

    def take(self, intent: Intent, by: Claimant, ignoring: frozenset[str] = frozenset()) -> Claim:
        """Our claim, or that of somebody else who makes or has just made the same change.

        Raises:
            StoreFailed: the claims cannot be read.
        """

        def change(claims: Sequence[Claim]) -> Changed[Claim]:
            same = [one for one in claims if is_same(one.intent, intent)]
            own = next((one for one in same if one.by.owner == by.owner), None)
            other = next((one for one in same if one.by.owner not in {by.owner, *ignoring}), None)
            if own is not None and own.done:
                return None, own
            if own is None and other is not None:
                return None, other
            claim_id = own.claim_id if own else secrets.token_hex(8)
            claim = Claim(claim_id=claim_id, intent=intent, by=by, expires_at=self._now() + self._term)
            return [*(one for one in claims if one != own), claim], claim

        return self._change(self._key(intent), change)

    def renew(self, claim: Claim) -> bool:
        """Keep a claim for another term; False when it ran out and may be somebody else's."""
        return self._replace(claim, claim.model_copy(update={"expires_at": self._now() + self._term}))

    def settle(self, claim: Claim, outcome: TaskOutcome) -> bool:
        """The change was made; False when the claim had run out before."""
        self._files.put_bytes(_outcome_key(claim), outcome.model_dump_json().encode())
        return self._replace(claim, claim.model_copy(update={"done": True, "expires_at": self._now() + self._reuse}))

    def release(self, claim: Claim) -> None:
        """The change was not made: others may."""
        self._replace(claim, None)

    def outcome(self, claim: Claim) -> TaskOutcome | None:
        """What came of a change that was made; None when its claim has just run out."""
        try:
            return TaskOutcome.model_validate_json(self._files.read_bytes(_outcome_key(claim)))
        except NotFound:
            return None
        except ValidationError as error:
            raise damaged(_outcome_key(claim), error) from None

    async def _made(self, claim: Claim, perform: Callable[[], Awaitable[TaskOutcome]]) -> Shared:
        renewing = asyncio.create_task(self._keep(claim))
        settled = kept = False
        try:
            outcome = await perform()
            if outcome.is_good and not outcome.refused:
                kept, settled = await in_thread(self.settle, claim, outcome), True
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            if not settled:
                await asyncio.shield(in_thread(self.release, claim))
        return Shared(outcome=outcome, claim=claim, lost=settled and not kept)

    async def _keep(self, claim: Claim) -> None:
        while True:
            await asyncio.sleep(self._term.total_seconds() / 3)
            try:
                if not await in_thread(self.renew, claim):
                    return
            except C500Error as error:  # the next try may be in time
                log.warning("a claim was not renewed", intent=str(claim.intent), error=error.message)

    def _replace(self, claim: Claim, new: Claim | None) -> bool:
        def change(claims: Sequence[Claim]) -> Changed[bool]:
            rest = [one for one in claims if one.claim_id != claim.claim_id]
            if len(rest) == len(claims):
                return None, False
            return [*rest, *([new] if new else [])], True

        return self._change(self._key(claim.intent), change)

    def _change(self, key: str, change: Callable[[Sequence[Claim]], Changed[T]]) -> T:
        """Change the claims of a verb by compare-and-swap; those that ran out go, with their outcomes."""
        for _ in range(TRIES):
            found = self._files.read_version(key)
            claims = parsed(key, found[0]).claims if found else ()
            alive = [one for one in claims if one.expires_at > self._now()]
            changed, told = change(alive)
            if changed is None:
                return told
            content = Claims(claims=tuple(changed)).model_dump_json().encode()
            try:
                self._files.put_if(key, content, found[1] if found else None)
            except Conflict:
                continue
            for one in claims:
                if one.done and one not in alive:
                    self._files.delete(_outcome_key(one))
            return told
        raise Conflict(f"the claims in {key} change too fast", fix="try again", key=key)

    def _key(self, intent: Intent) -> str:
        place = "shared" if intent.shared else self._place
        verb = sha256(" ".join(words_of(intent.verb)).encode(errors="surrogatepass")).hexdigest()[:16]
        return f"{INTENTS}/{place}/{verb}.json"


def _outcome_key(claim: Claim) -> str:
    return f"{INTENTS}/outcomes/{claim.claim_id}.json"
