"""SQL databases that agents may read, named in a YAML file."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, unquote, urlsplit

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter

from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.secret_reference import SecretReference
from blocks.yaml_file import read_yaml

FIX = "correct the file; docs/agents/tools.md has an example"
POSTGRES_PORT = 5432

Kind = Literal["sqlite", "postgresql"]
DatabaseName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]


def _is_database(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is not None or "password" in parse_qs(parts.query, keep_blank_values=True):
        raise ValueError("no password belongs here; name where it is in the field password, as env:NAME")
    is_file = parts.scheme == "sqlite" and not parts.netloc and parts.path.strip("/") and not parts.query
    is_server = parts.scheme == "postgresql" and parts.hostname and parts.username and parts.path.strip("/")
    if not (is_file or (is_server and parts.port != 0)):  # the port raises ValueError where it is none
        raise ValueError("here belongs sqlite:///PATH or postgresql://USER@HOST:PORT/DATABASE")
    return url


class Database(Frozen):
    """A database.

    Attributes:
        url: `sqlite:///PATH`, relative to the file's folder, or `postgresql://USER@HOST:PORT/DATABASE`.
        password: Where the password is: `env:NAME`, `prefect:BLOCK` or `file:PATH#NAME`.
        description: What is in it, for the model: tables, units, time zones.
        trusted: Whether nobody outside can write into it, as customers write tickets and comments: then its rows are
            not labelled untrusted.
        timeout_s: Seconds a query may take.
    """

    url: Annotated[str, AfterValidator(_is_database)]
    password: SecretReference = "none"  # noqa: S105 - says that there is none
    description: Annotated[str, StringConstraints(max_length=2000)] = ""
    trusted: bool = False
    timeout_s: float = Field(default=15, gt=0, le=300)

    @property
    def kind(self) -> Kind:
        """Which kind of database it is."""
        return "sqlite" if self.url.startswith("sqlite:") else "postgresql"

    @property
    def place(self) -> str:
        """`host:port` of a server."""
        parts = urlsplit(self.url)
        host = (parts.hostname or "").lower()
        return f"{f'[{host}]' if ':' in host else host}:{parts.port or POSTGRES_PORT}"

    def path(self, folder: Path) -> Path:
        """The file of an SQLite database: its real path."""
        # Three slashes and a relative path, or four and an absolute one, as everywhere.
        return (folder / Path(unquote(urlsplit(self.url).path.removeprefix("/"))).expanduser()).resolve()


class _DatabasesFile(Frozen):
    databases: dict[DatabaseName, Database]


class Databases(Frozen):
    """The databases of a file.

    Attributes:
        folder: Where relative paths in it begin.
        by_name: Each by the name that agents call it by.
    """

    folder: Path
    by_name: dict[str, Database]

    def named(self, name: str) -> Database:
        """A database. Raises `NotFound`."""
        if name not in self.by_name:
            known = ", ".join(self.by_name) or "none"
            raise NotFound(f"there is no database {name!r}", fix=f"known are: {known}", field="database")
        return self.by_name[name]


def read_databases(path: Path) -> Databases:
    """The databases of a file; none where there is no such file.

    Raises:
        BadInput: it is wrong; with the line of each fault.
    """
    path = path.expanduser()
    if not path.exists():
        return Databases(folder=path.parent, by_name={})
    content = read_yaml(path, fix=FIX, field="databases_file").read_as(TypeAdapter(_DatabasesFile))
    return Databases(folder=path.parent, by_name=content.databases)
