"""Where a migration works: hosts of the inventory, databases by their names, and who runs agents."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from blocks.databases_file import read_databases
from blocks.errors import BadInput, EngineUnavailable, Unsupported
from blocks.hosts import Host, open_host, read_inventory
from blocks.secret_reference import secret_at
from blocks.settings import settings
from tasks.ops.migration.kinds import AgentWork, Command, CommandCheck
from tasks.ops.migration.plan import MigrationPlan
from tasks.ops.migration.target import LOOK_S, connected

RunAgent = Callable[[AgentWork, str], Awaitable[str]]
"""Has an agent work on its goal, under the id of a run; what it said. Raises what it failed with."""


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where it works.

    Attributes:
        plan: Names databases.
        run_agent: Runs agents.
    """

    plan: MigrationPlan
    run_agent: RunAgent

    @asynccontextmanager
    async def host(self, name: str) -> AsyncGenerator[Host]:
        """A host. Raises `NotFound`, `HostUnreachable`."""
        (machine,) = read_inventory().chosen([name])
        async with open_host(machine) as host:
            yield host

    @asynccontextmanager
    async def database(self, name: str, *, lock_timeout_s: float = 1, timeout_s: float = 60) -> AsyncGenerator[Any]:
        """A connection to a database. Raises as `connected` does, and `NotFound`, `Unsupported`."""
        dsn = await self._dsn(name)
        async with connected(dsn, lock_timeout_s=lock_timeout_s, timeout_s=timeout_s) as connection:
            yield connection

    async def check_database(self, name: str) -> None:
        """Make sure that a database is there, and lets us in.

        Raises:
            NotFound, BadInput, Unsupported: its address is not there, or is none.
            EngineUnavailable: it does not answer; told with where its address stands, and never with the password.
        """
        dsn = await self._dsn(name)
        try:
            async with connected(dsn, lock_timeout_s=LOOK_S, timeout_s=LOOK_S, connect_s=LOOK_S) as connection:
                await connection.fetchval("SELECT 1")
        except EngineUnavailable as error:
            reference = self.plan.databases.get(name, "DATABASES_FILE")
            raise EngineUnavailable(
                f"databases.{name} ({reference}): {error.message}",
                fix=f"start the database, or correct its address in {reference}; then run the same command again",
                field=f"databases.{name}",
            ) from None

    async def variables(self, command: Command | CommandCheck) -> dict[str, str]:
        """The variables of a command, with its secrets and the address of its database. Raises `NotFound`."""
        folder = Path(self.plan.folder)
        secrets = {name: await secret_at(one, folder, f"secrets.{name}") for name, one in command.secrets.items()}
        address = libpq_variables(await self._dsn(command.database)) if command.database else {}
        return address | command.env | secrets

    async def _dsn(self, name: str) -> str:
        if (reference := self.plan.databases.get(name)) is not None:
            dsn = await secret_at(reference, Path(self.plan.folder), f"databases.{name}")
            return _checked_dsn(dsn, name)
        databases = read_databases(settings().databases_file)
        database = databases.named(name)
        if database.kind != "postgresql":
            raise Unsupported(f"{name} is no PostgreSQL", fix="migrate others with commands", field="database")
        password = await secret_at(database.password, databases.folder, f"databases.{name}.password")
        return with_password(database.url, password)


def with_password(url: str, password: str) -> str:
    """An address with the password in it."""
    scheme, rest = url.split("://", 1)
    user, at, place = rest.rpartition("@")
    return f"{scheme}://{user}:{quote(password, safe='')}{at}{place}" if password else url


def libpq_variables(dsn: str) -> dict[str, str]:
    """An address as the variables that PostgreSQL's own programs read."""
    parts = urlsplit(dsn)
    told = {
        "PGHOST": unquote(parts.hostname or ""),
        "PGPORT": str(parts.port or ""),
        "PGUSER": unquote(parts.username or ""),
        "PGPASSWORD": unquote(parts.password or ""),
        "PGDATABASE": unquote(parts.path.strip("/")),
        "PGSSLMODE": dict(parse_qsl(parts.query)).get("sslmode", ""),
    }
    return {name: value for name, value in told.items() if value}


def _checked_dsn(dsn: str, name: str) -> str:
    if not dsn.startswith(("postgresql://", "postgres://")):  # never quoted: it holds a password
        raise BadInput(
            f"what the secret of databases.{name} holds is no postgresql:// address",
            fix="store postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
            field=f"databases.{name}",
        )
    return dsn
