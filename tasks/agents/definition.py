"""What an agent is: its role, model, tools and limits, as a YAML file says."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, field_serializer

from blocks.accounts.account import Tier
from blocks.errors import NotFound
from blocks.model import Frozen
from blocks.policy import Rule
from blocks.yaml_file import read_yaml
from tasks.agents.guarded import Limits

SHIPPED = Path(__file__).parent / "definitions"
NAME = r"^[a-z][a-z0-9-]{0,62}$"

Name = Annotated[str, StringConstraints(pattern=NAME)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class AgentLimits(Limits):
    """What a run may take at most; it ends as `limited` where it reaches one.

    Attributes:
        budget_usd: Dollars.
        output_tokens: Tokens of one answer of the model; None for the model's own default.
    """

    budget_usd: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    output_tokens: int | None = Field(default=None, ge=16)


class AgentDefinition(Frozen):
    """An agent.

    Attributes:
        name: How it is called.
        description: For people, and for agents that choose whom they hand work to.
        role: What the model is told it is, and how it works.
        model: A model of accounts.yaml; None leaves the choice to the tier.
        tier: How hard its work is.
        tools: What it may use, by name; `git_*` for all that begin so.
        mcp: MCP servers whose tools it may use too, by their name in MCP_FILE.
        context: Files beside the definition that the model always sees.
        specialists: Agents it may hand parts of its work to.
        rules: Rules of its own, which only narrow what the policy allows; see docs/agents/policy.md.
        limits: What a run may take.
        remembers: Whether it has a memory over runs.
        unattended: Whether nobody can be asked: what needs a person is refused.
    """

    name: Name
    description: Text
    role: Text
    model: Text | None = None
    tier: Tier | None = None
    tools: tuple[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*\*?$")], ...] = ()
    mcp: tuple[Name, ...] = ()
    context: tuple[Text, ...] = ()
    specialists: tuple[Name, ...] = ()
    rules: tuple[Rule, ...] = ()
    limits: AgentLimits = AgentLimits()
    remembers: bool = True
    unattended: bool = False

    @field_serializer("rules")
    def _as_written(self, rules: tuple[Rule, ...]) -> list[dict[str, Any]]:
        """Without what a rule does not say: an empty list of tools is not the same as no word about tools."""
        return [rule.model_dump(mode="json", exclude_defaults=True) for rule in rules]


FORM = TypeAdapter(AgentDefinition)


def read_agent(name: str, folder: Path | None = None) -> AgentDefinition:
    """An agent by name: of your own folder, else one that is shipped.

    Args:
        name: Its name.
        folder: AGENTS_DIR.

    Raises:
        NotFound: there is none; the error names those that there are.
        BadInput: its file is wrong, told with the line.
    """
    path = find_agent(name, folder)
    read = read_yaml(path, fix="correct the agent's file; docs/agents.md shows its form", field="agent")
    content = read.content
    if isinstance(content, dict) and "name" not in content:
        content = {"name": name, **content}  # pyright: ignore[reportUnknownVariableType]
    return read.part_as(FORM, content, ())


def find_agent(name: str, folder: Path | None = None) -> Path:
    """The file of an agent; see `read_agent`."""
    if re.match(NAME, name):
        for place in _folders(folder):
            if (path := place / f"{name}.yaml").is_file():
                return path
    known = ", ".join(agent_names(folder))
    raise NotFound(
        f"there is no agent {name!r}", fix=f"use one of {known}, or write one into AGENTS_DIR", field="agent"
    )


def agent_names(folder: Path | None = None) -> list[str]:
    """The names of all agents, sorted."""
    return sorted({path.stem for place in _folders(folder) for path in place.glob("*.yaml")})


def _folders(folder: Path | None) -> Iterator[Path]:
    if folder is not None:
        own = folder.expanduser()
        if not own.is_dir():
            raise NotFound(f"there is no folder {own}", fix="make it, or correct AGENTS_DIR", field="AGENTS_DIR")
        yield own
    yield SHIPPED
