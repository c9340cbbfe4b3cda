"""Claims to changes, as the store holds them."""

from datetime import datetime

from pydantic import ValidationError

from blocks.errors import StoreFailed
from blocks.model import Frozen
from tasks.agents.team.intent import Intent
from tasks.agents.team.result import TaskOutcome


class Claimant(Frozen):
    """Who wants to make a change.

    Attributes:
        owner: `team run/task`; the same in every attempt, so that it finds its own claim again.
        run_id: The specialist's run that makes it.
        user: For whom.
    """

    owner: str
    run_id: str
    user: str


class Claim(Frozen):
    """That somebody makes a change, or has made it.

    Attributes:
        claim_id: Tells this claim from another one of the same owner.
        intent: The change.
        by: Whose it is.
        done: Whether it was made.
        expires_at: When it is free again.
    """

    claim_id: str
    intent: Intent
    by: Claimant
    done: bool = False
    expires_at: datetime


class Claims(Frozen):
    """All claims to one verb; one file, so that of two similar ones only one can be made."""

    claims: tuple[Claim, ...] = ()


class Shared(Frozen):
    """How a change came about.

    Attributes:
        outcome: What came of it.
        claim: Under which claim; somebody else's when it was made there.
        lost: Whether our claim ran out while we made it, as on a machine that slept: it may have been made twice.
    """

    outcome: TaskOutcome
    claim: Claim
    lost: bool = False


def parsed(key: str, content: bytes) -> Claims:
    """The claims of a file. Raises `StoreFailed`."""
    try:
        return Claims.model_validate_json(content)
    except ValidationError as error:
        raise damaged(key, error) from None


def damaged(key: str, error: ValidationError) -> StoreFailed:
    """The error of a file that cannot be read."""
    fix = "see that no agent of yours is at work, then remove the file: nobody knows any more who makes which change"
    return StoreFailed(f"{key} is damaged: {error.error_count()} faults", fix=fix, key=key)
