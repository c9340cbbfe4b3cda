"""Hosts, opened."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from blocks.hosts.inventory import Machine
from blocks.hosts.local import LocalHost
from blocks.hosts.protocol import Host


@asynccontextmanager
async def open_host(machine: Machine) -> AsyncGenerator[Host]:
    """A host of the inventory; closed with the block.

    Raises:
        HostUnreachable: it does not answer, its key is not the known one, or it does not let us in.
        NotFound, BadInput: a secret or key of the inventory is not there.
    """
    if machine.is_local:
        yield LocalHost(machine.name)
        return
    from blocks.hosts.ssh import connected

    async with connected(machine) as host:
        yield host
