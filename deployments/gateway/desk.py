"""Where people answer agents through the gateway: opened when it is first needed, so that audio needs none of it."""

from functools import cached_property
from typing import TYPE_CHECKING

from blocks.approvals.identity import person
from blocks.errors import BadInput
from blocks.keys import ApiKey
from blocks.settings import settings
from blocks.store.files import Files

if TYPE_CHECKING:
    from blocks.approvals import Approvals
    from blocks.escalation import Escalations
    from blocks.reviews import Reviews
    from blocks.switches import Switches


class Desk:
    """Approvals, reviews and stops of this gateway's store and settings.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    @cached_property
    def approvals(self) -> "Approvals":
        """What agents ask. Raises `StoreFailed`, `NotAllowed`: the key of the seals cannot be used."""
        from blocks.approvals import open_approvals

        return open_approvals(self._files)

    @cached_property
    def reviews(self) -> "Reviews":
        """What agents propose. Raises as `approvals`."""
        from blocks.reviews import open_reviews

        return open_reviews(self._files)

    @cached_property
    def escalations(self) -> "Escalations":
        """Who was told of what agents ask."""
        from blocks.escalation import Escalations

        return Escalations(self._files)

    @cached_property
    def switches(self) -> "Switches":
        """What stops agents. Raises `StoreFailed`."""
        from blocks.switches import FOLDER, open_switches

        return open_switches(settings().switches_url, settings().agents_home / FOLDER)


def name_of(key: ApiKey) -> str:
    """Who answers: the name of the key, or its id where the name is none.

    Keys of the same name are one person: otherwise who has two of them would be two.
    """
    try:
        person(key.name)
    except BadInput:
        return key.key_id
    return key.name
