"""MCP servers whose tools agents may use, named in a YAML file."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints, TypeAdapter, model_validator

from blocks.action import Label, Risk
from blocks.errors import BadInput
from blocks.model import Frozen
from blocks.secret_reference import SecretReference
from blocks.web_address import web_address
from blocks.yaml_file import read_yaml

FIX = "correct the file; docs/agents/tools.md has an example"

ServerName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9]{0,19}$")]
Variable = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Header = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]*$")]


def _is_web_address(url: str) -> str:
    try:
        return web_address(url).url
    except BadInput as error:
        raise ValueError(error.message) from None


class McpRule(Frozen):
    """What the operator says of a tool; what the server says of it is not believed.

    Attributes:
        risk: What may go wrong at worst.
        read_only: Whether it changes nothing.
        reversible: Whether what it does can be undone.
        repeatable: Whether doing it twice is as doing it once.
        outside: Whether others see its effect.
        private: Whether its results must not leave.
    """

    risk: Risk = "high"
    read_only: bool = False
    reversible: bool = False
    repeatable: bool = False
    outside: bool = True
    private: bool = False

    @property
    def labels(self) -> frozenset[Label]:
        """What its results carry: they come from outside, whatever the server is."""
        return frozenset({"untrusted", "private"} if self.private else {"untrusted"})


class McpServer(Frozen):
    """A server: a program that is started and talked to through its streams, or an address.

    Attributes:
        command: The program and its arguments; it runs outside of the sandbox, with our rights.
        env: Variables of the program, beside PATH, LANG and a HOME of its own.
        secret_env: Variables whose values are secrets, each by where it is: `env:NAME`, `prefect:BLOCK`,
            `file:PATH#NAME`.
        url: The address of its streamable HTTP transport.
        headers: Headers whose values are secrets, each by where it is.
        usual: What holds for its tools, where `tools` does not say otherwise.
        tools: What holds for a tool, by the server's name for it.
        only: The tools that are offered; empty for all.
        start_s: Seconds it may take to answer at first.
        timeout_s: Seconds a call may take.
        enabled: Whether it is used.
    """

    command: tuple[Annotated[str, StringConstraints(min_length=1)], ...] = ()
    env: dict[Variable, str] = Field(default_factory=dict[str, str])
    secret_env: dict[Variable, SecretReference] = Field(default_factory=dict[str, str])
    url: Annotated[str, AfterValidator(_is_web_address)] | None = None
    headers: dict[Header, SecretReference] = Field(default_factory=dict[str, str])
    usual: McpRule = McpRule()
    tools: dict[str, McpRule] = Field(default_factory=dict[str, McpRule])
    only: tuple[str, ...] = ()
    start_s: float = Field(default=30, gt=0, le=300)
    timeout_s: float = Field(default=60, gt=0, le=3600)
    enabled: bool = True

    @model_validator(mode="after")
    def _is_one_of_two(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("a server has either a command or a url")
        if self.url and (self.env or self.secret_env):
            raise ValueError("env and secret_env belong to a command; a url has headers")
        if self.command and self.headers:
            raise ValueError("headers belong to a url; a command has env and secret_env")
        return self

    def rule(self, tool: str) -> McpRule:
        """What holds for a tool."""
        return self.tools.get(tool, self.usual)


class _McpFile(Frozen):
    servers: dict[ServerName, McpServer]


class McpServers(Frozen):
    """The servers of a file.

    Attributes:
        folder: Where relative paths in it begin.
        by_name: Each by its name.
    """

    folder: Path
    by_name: dict[str, McpServer]


def read_mcp(path: Path) -> McpServers:
    """The servers of a file; none where there is no such file.

    Raises:
        BadInput: it is wrong; with the line of each fault.
    """
    path = path.expanduser()
    if not path.exists():
        return McpServers(folder=path.parent, by_name={})
    content = read_yaml(path, fix=FIX, field="mcp_file").read_as(TypeAdapter(_McpFile))
    return McpServers(
        folder=path.parent, by_name={name: server for name, server in content.servers.items() if server.enabled}
    )
