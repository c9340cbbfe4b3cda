"""II-Agent servers, named in a YAML file: where each is, what it can carry, and how long things may take there."""

from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, field_validator

from blocks.errors import BadInput, NotFound
from blocks.model import Frozen
from blocks.secret_reference import SecretReference, secret_at
from blocks.settings import settings
from blocks.yaml_file import read_yaml

FIX = "correct the file; docs/sessions.md shows its form"
ABSENT = "write one; docs/sessions.md shows how"
MIB = 1024 * 1024

Flavor = Literal["auto", "ws", "socketio"]
Sandbox = Literal["local", "docker", "e2b"]
ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,99}$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def _is_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("no user or password belongs here; name where they are in `headers`, as Authorization: env:X")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment or parts.port == 0:
        raise ValueError("here belongs an address, as http://127.0.0.1:8000")
    return f"{parts.scheme}{url[len(parts.scheme) :]}".rstrip("/")  # in small letters, as what is asked of it expects


Address = Annotated[str, AfterValidator(_is_address)]


class Limits(Frozen):
    """How long things may take at a server, in seconds, and how much may come.

    Attributes:
        connect_s: To open a socket.
        request_s: Of a REST request, between two pieces of its answer.
        init_s: To answer `init_agent`; None: 60, or 300 where a sandbox is made for the session.
        ping_every_s: Between two application pings of a turn.
        dead_after_s: Without any frame while a ping waits: the socket is dead. A server that summarises a long
            conversation answers nobody for up to a minute.
        idle_s: Of a run without any event; pongs do not count.
        turn_s: Of a turn, with all its reconnects.
        total_s: Of an open session.
        cancel_s: To wait for the end of a run that was cancelled.
        idle_window_s: Without a new stored event: a run whose end is not stored is over. Twice the longest call of a
            model.
        start_window_s: Without the stored message: a run never began.
        poll_s: Between two looks at the stored events.
        settle_s: Between the end of a run and the next socket, for the server to write the history.
        reconnects: Sockets lost within a turn that are made up for.
        away_s: To wait for a server that takes no connections.
        retries: Runs of a turn that ended with an error of the server and are gone on with.
        backoff_s: The first pause is a random one up to this, each further up to twice the last.
        longest_backoff_s: Up to this.
        frames: Frames of a turn.
        turn_bytes: Their bytes.
        frame_bytes: Of one frame: screenshots come within results.
        query_bytes: Of a prompt; the server takes 16 MiB.
    """

    connect_s: Seconds = 10
    request_s: Seconds = 60
    init_s: Seconds | None = None
    ping_every_s: Seconds = 30
    dead_after_s: Seconds = 180
    idle_s: Seconds = 900
    turn_s: Seconds = 3600
    total_s: Seconds = 14_400
    cancel_s: Seconds = 15
    idle_window_s: Seconds = 600
    start_window_s: Seconds = 60
    poll_s: Seconds = 1
    settle_s: float = Field(default=0.5, ge=0, le=60)
    reconnects: int = Field(default=5, ge=0, le=1000)
    away_s: Seconds = 300
    retries: int = Field(default=5, ge=0, le=1000)
    backoff_s: Seconds = 1
    longest_backoff_s: Seconds = 60
    frames: int = Field(default=100_000, ge=1)
    turn_bytes: int = Field(default=1024 * MIB, ge=1)
    frame_bytes: int = Field(default=64 * MIB, ge=1)
    query_bytes: int = Field(default=15 * MIB, ge=1, le=16 * MIB)


class AgentServer(Frozen):
    """An II-Agent server.

    Attributes:
        name: Ours.
        base_url: Its address, or that of the proxy before it. It has no authentication of its own.
        ui_url: Its web page, for links to sessions.
        flavor: Its protocol; `auto` asks it.
        model_keys: Names of models in its settings, best first; several are as good as several accounts: where the
            key of one is refused or used up, the next is taken.
        headers: Of every request; each value, all of it, is where the reference leads.
        max_sessions: Sessions at once.
        cores: Of its machine: it runs min(32, cores + 4) calls at once.
        sandbox: Where its agents work.
        workspace_mount: Where this machine sees its workspaces, to read.
        tool_args: Tools of its agents, as `{deep_research: true}`.
        limits: How long things may take.
    """

    name: ServerName
    base_url: Address
    ui_url: Address | None = None
    flavor: Flavor = "auto"
    model_keys: tuple[Annotated[str, StringConstraints(min_length=1, max_length=200)], ...] = Field(min_length=1)
    headers: dict[HeaderName, SecretReference] = Field(default_factory=dict)
    max_sessions: int = Field(default=8, ge=1, le=10_000)
    cores: int = Field(default=4, ge=1, le=4096)
    sandbox: Sandbox = "local"
    workspace_mount: Path | None = None
    tool_args: dict[str, Any] = Field(default_factory=dict)
    limits: Limits = Limits()

    @field_validator("model_keys")
    @classmethod
    def _each_once(cls, keys: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(keys)) < len(keys):
            raise ValueError("a name stands twice in it")
        return keys

    @property
    def init_s(self) -> float:
        """Seconds that it may take to make an agent."""
        return self.limits.init_s or (60 if self.sandbox == "local" else 300)

    @property
    def socket_url(self) -> str:
        """Address of its WebSocket, without the query."""
        return f"ws{self.base_url.removeprefix('http')}/ws"

    def session_url(self, session_id: str) -> str | None:
        """Where people see a session again; None where its web page is not known."""
        return None if self.ui_url is None else f"{self.ui_url}/?id={session_id}"

    async def secret_headers(self) -> dict[str, str]:
        """The headers with their values.

        Raises:
            NotFound, BadInput: one is not there, or is no line of ASCII text.
            NotAllowed: its sealed file does not open.
            EngineUnavailable: the store of secrets cannot be reached.
        """
        found = {
            name: await secret_at(reference, Path(), f"servers.{self.name}.headers.{name}")
            for name, reference in self.headers.items()
        }
        for name, value in found.items():
            if not value.isascii():  # never quoted here
                field = f"servers.{self.name}.headers.{name}"
                raise BadInput(f"{field}: a header takes ASCII characters only", fix="encode the secret", field=field)
        return {name: value for name, value in found.items() if value}


class _ServersFile(Frozen):
    servers: tuple[AgentServer, ...] = Field(min_length=1)

    @field_validator("servers")
    @classmethod
    def _names_differ(cls, servers: tuple[AgentServer, ...]) -> tuple[AgentServer, ...]:
        names = [server.name for server in servers]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two servers are called {', '.join(twice)}")
        return servers


class AgentServers(Frozen):
    """The servers of a file, in its order."""

    servers: tuple[AgentServer, ...]

    def named(self, name: str) -> AgentServer:
        """A server. Raises `NotFound`."""
        for server in self.servers:
            if server.name == name:
                return server
        known = ", ".join(server.name for server in self.servers)
        raise NotFound(f"there is no agent server {name!r}", fix=f"known are: {known}", field="server")


def read_servers(path: Path) -> AgentServers:
    """The servers of a file.

    Args:
        path: The file. Relative paths in it begin at its folder.

    Raises:
        NotFound: there is no such file.
        BadInput: it is wrong; with the line of each fault.
    """
    path = path.expanduser()
    content = read_yaml(path, fix=FIX, field="agent_servers_file", absent=ABSENT).read_as(TypeAdapter(_ServersFile))
    folder = path.parent.absolute()
    return AgentServers(servers=tuple(_at(server, folder) for server in content.servers))


def servers() -> AgentServers:
    """The servers of the file that AGENT_SERVERS_FILE names; see `read_servers`."""
    return read_servers(settings().agent_servers_file)


def _at(server: AgentServer, folder: Path) -> AgentServer:
    """The server with the paths of its secrets and its mount made absolute."""
    headers = {name: _absolute(reference, folder) for name, reference in server.headers.items()}
    mount = server.workspace_mount and folder / server.workspace_mount.expanduser()
    return server.model_copy(update={"headers": headers, "workspace_mount": mount})


def _absolute(reference: str, folder: Path) -> str:
    kind, _, place = reference.partition(":")
    if kind != "file":
        return reference
    file, _, name = place.partition("#")
    return f"file:{folder / Path(file).expanduser()}#{name}"
