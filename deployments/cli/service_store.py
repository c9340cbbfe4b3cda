"""The store that commands share with the service."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from blocks.store import Files


def service_store() -> "Files":
    """The store of the settings, if it is that of the service that runs, where there is one. Raises `Conflict`."""
    from blocks.errors import Conflict
    from blocks.store import open_store, store_place
    from deployments.service.home import read_running

    service = read_running()
    if service is not None and service.store not in (None, store_place()):
        raise Conflict(
            f"the service that runs keeps its store in {service.store}, these settings name {store_place()}",
            fix="give this command the settings of the service: AUDIO_DIR or STORE_URL",
        )
    return open_store()
