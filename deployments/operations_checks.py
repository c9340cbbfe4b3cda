"""Are the files that operations read in place: channels, inventory, services?"""

from collections.abc import Callable, Iterator

from blocks.errors import C500Error


def check_channels_file() -> str:
    """OPERATIONS_CHANNELS_FILE is well written, and its channels can be used. Raises `NotFound`, `BadInput`."""
    from blocks.escalation.channels import check_channels
    from blocks.settings import settings

    if (file := settings().operations_channels_file) is None:
        return "OPERATIONS_CHANNELS_FILE is not set: briefings and reports are sent to nobody"
    return check_channels(file)


def check_inventory() -> str:
    """The hosts that operations look after. Raises `NotFound`, `BadInput`."""
    from blocks.hosts import read_inventory

    return ", ".join(read_inventory().machines)


def check_services() -> str:
    """The services file, whose logs and repositories name hosts of the inventory. Raises `NotFound`, `BadInput`."""
    from blocks.hosts import read_inventory
    from blocks.settings import settings
    from tasks.ops.incident.services import read_services

    services, inventory = read_services(settings().services_file).services, read_inventory()
    for one in services.values():
        inventory.chosen(place.host for place in (*one.logs, *one.repositories))
    return ", ".join(services) or "none: briefings know no owners, logs and metrics (SERVICES_FILE)"


CHECKS: dict[str, Callable[[], str]] = {
    "operations channels": check_channels_file,
    "inventory": check_inventory,
    "services": check_services,
}


def warnings() -> Iterator[str]:
    """What is wrong with these files, for whoever starts something that reads them: it starts all the same."""
    for part, check in CHECKS.items():
        try:
            check()
        except C500Error as error:
            yield f"warning: {part}: {error.message}\nfix: {error.fix}"
