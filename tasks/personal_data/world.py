"""The places of this machine's settings, opened."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from blocks.accounts.open import with_home
from blocks.settings import settings
from blocks.store import open_store
from blocks.subjects.subject import Subject, pseudonym
from blocks.subjects.trace import known
from tasks.personal_data.holder import World

SQLITE = "sqlite:///"


@contextmanager
def open_world() -> Generator[World]:
    """All places. Raises `StoreFailed`, `BadInput` where one cannot be opened."""
    chosen = settings()
    url = with_home(chosen.limiter_url)
    with known(open_store()) as place:
        yield World(
            known=place,
            home=chosen.agents_home.expanduser(),
            logs=chosen.log_dir.expanduser(),
            limits=Path(url.removeprefix(SQLITE)) if url.startswith(SQLITE) else None,
        )


def pseudonym_of(subject: Subject) -> str:
    """What stands for a subject in records; see `blocks.subjects.pseudonym`. Raises `StoreFailed`, `NotAllowed`."""
    from blocks.audit import open_key
    from blocks.audit.places import AuditPlaces

    return pseudonym(open_key(AuditPlaces(settings().agents_home).key), subject)
