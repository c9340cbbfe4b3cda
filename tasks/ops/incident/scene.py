"""What every source of context is given."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from blocks.action import Touched
from blocks.errors import EngineFailed, NotAllowed
from blocks.hosts import CommandResult, Inventory, open_host
from blocks.hosts.inventory import LOCAL
from blocks.store.files import Files
from tasks.ops.deed import Deed
from tasks.ops.incident.incident import AlertState, Incident
from tasks.ops.incident.services import Service, Services
from tasks.ops.performer import Performer
from tasks.ops.runbook.alert import Alert

BEFORE = timedelta(minutes=30)
"""So long before the first alert began is looked at."""
CHANGES_BEFORE = timedelta(hours=24)
"""And so long for changes."""
HOST_LABELS = ("host", "instance", "node", "hostname")
"""Labels of alerts that name a host, perhaps with a port."""


@dataclass(frozen=True, kw_only=True)
class Scene:
    """An incident, and where to look.

    Attributes:
        incident: It.
        services: The services file.
        performer: Notes what is looked at, and stops when it is to.
        inventory: The hosts.
        files: The store.
        now: The time.
        clean: Takes secrets out of a text.
        troubles: What of all this could not be read, and why.
    """

    incident: Incident
    services: Services
    performer: Performer
    inventory: Inventory
    files: Files
    now: Callable[[], datetime]
    clean: Callable[[str], str]
    troubles: tuple[str, ...] = ()

    @property
    def known(self) -> dict[str, Service]:
        """The incident's services that the file knows."""
        return {name: self.services.services[name] for name in self.incident.services if name in self.services.services}

    @property
    def names(self) -> frozenset[str]:
        """The incident's services, and their hosts: those of logs and repositories, and those that its alerts name."""
        hosts = {place.host for one in self.known.values() for place in (*one.logs, *one.repositories)}
        labels = [alert.labels.get(name, "") for alert in self.incident.alerts for name in HOST_LABELS]
        return frozenset(
            {*self.incident.services, *hosts, *(label.partition(":")[0] for label in labels)} - {"", LOCAL}
        )

    @property
    def since(self) -> datetime:
        """Where metrics and logs begin."""
        return self.incident.began_at - BEFORE

    @property
    def first(self) -> AlertState:
        """The alert that the incident is looked at by: one that is firing, if any."""
        return (self.incident.firing or self.incident.alerts)[0]

    def values(self, service: str) -> dict[str, Any]:
        """What queries and commands may have in them."""
        first = next((one for one in self.incident.firing if service in self.services.of([one.labels])), self.first)
        return {
            "service": service,
            "alert": first.name,
            "labels": first.labels,
            "since": f"{self.since:%Y-%m-%dT%H:%M:%SZ}",
            "until": f"{self.now():%Y-%m-%dT%H:%M:%SZ}",
        }

    async def look(self, name: str, host: str, argv: Sequence[str], *, timeout_s: float = 30) -> CommandResult:
        """Run a command that only looks.

        Args:
            name: What is looked at.
            host: Where, of the inventory.
            argv: The command.
            timeout_s: Seconds after which it is killed.

        Raises:
            NotFound, HostUnreachable, NotAllowed, EngineFailed: it could not be run, or did not end well.
        """
        argv, kept = tuple(argv), list[CommandResult]()
        deed = Deed(
            name=f"look/{name}/{sha256(repr((host, argv)).encode()).hexdigest()[:12]}",
            tool="run_on_host",
            arguments={"host": host, "argv": list(argv), "become": False},
            says=f"look at {name}: {' '.join(argv)} on {host}",
            risk="low",
            read_only=True,
            outside=True,
            touched=Touched(argv=argv),
        )
        [machine] = self.inventory.chosen([host])

        async def perform() -> dict[str, int]:
            async with open_host(machine) as opened:
                result = await opened.run(argv, timeout_s=timeout_s)
            kept.append(result.checked())
            return {"chars": len(result.stdout)}

        outcome = await self.performer.do(deed, perform)
        if outcome.status == "refused":
            raise NotAllowed(f"the rules forbid it: {outcome.why}", fix="see OPERATIONS_POLICY_FILE")
        outcome.checked()
        if not kept:
            raise EngineFailed("nothing was looked at", fix="see the audit of the run")
        return kept[0]


def alert_of(state: AlertState, **more: Any) -> Alert:
    """An alert as runbooks know it."""
    return Alert(name=state.name, labels=state.labels, annotations=state.annotations, **more)


def texts(values: Mapping[str, Any]) -> dict[str, Any]:
    """Kinds of the values, as templates want them: all are texts from outside."""
    return dict.fromkeys(values, "text")
