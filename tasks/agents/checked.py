"""Whether an agent could begin: what its file names is there."""

from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.accounts.file import read_accounts
from blocks.errors import C500Error, NotFound
from blocks.memory import Memory
from blocks.policy.open import open_policy
from blocks.redact import default_redactor
from blocks.settings import Settings
from blocks.workspace import Workspace
from tasks.agents.definition import AgentDefinition, agent_names, find_agent, read_agent
from tasks.agents.pins import context_pins
from tasks.agents.registry import CONFIGURED, absent_mcp, built_in, chosen_of, servers_of, wanted_of
from tasks.agents.tools.mcp import CHANGED, FOLDER, pins_of


def troubles_of(name: str, chosen: Settings) -> list[C500Error]:
    """All that would keep an agent from beginning; empty when nothing would."""
    try:
        definition = read_agent(name, chosen.agents_dir)
    except C500Error as error:
        return [error]
    return list(_troubles(definition, chosen))


def notes_of(name: str, chosen: Settings) -> list[str]:
    """What an agent that could begin would have to do without: tools of its MCP servers that nobody accepted yet.

    Raises:
        NotFound, BadInput: the agent is not there, or its file is wrong.
        StoreFailed: what was accepted cannot be read.
    """
    waiting = pins_of(chosen.agents_home.expanduser() / FOLDER).waiting()
    return [
        absent_mcp(f"{server}/{tool}", CHANGED)
        for server in read_agent(name, chosen.agents_dir).mcp
        for tool in waiting.get(server, {})
    ]


def _troubles(definition: AgentDefinition, chosen: Settings) -> Iterator[C500Error]:
    folder = find_agent(definition.name, chosen.agents_dir).parent
    with TemporaryDirectory() as empty:
        memory, workspace = Memory(Path(empty) / "memory.db", default_redactor()), Workspace(Path(empty))
        checks: list[Callable[[], object]] = [
            lambda: chosen_of(built_in(chosen, lambda _: False, memory), wanted_of(definition), CONFIGURED),
            lambda: servers_of(definition, chosen),
            lambda: context_pins((one for one in definition.context if ":" not in one), Workspace(folder), workspace),
            lambda: open_policy().with_rules(definition.rules, f"agent {definition.name}"),
            lambda: _specialists(definition, chosen),
            lambda: _model(definition, chosen),
        ]
        for check in checks:
            try:
                check()
            except C500Error as error:
                yield error
        memory.close()


def _model(definition: AgentDefinition, chosen: Settings) -> None:
    """Refuse a model that no account has. Where there are no accounts at all, that is another matter."""
    file = chosen.accounts_file.expanduser()
    if definition.model is None or not file.exists():
        return
    known = {name for account in read_accounts(file).accounts for name in account.models}
    if definition.model not in known:
        raise NotFound(
            f"no account of {file} has the model {definition.model!r}",
            fix=f"use one of {', '.join(sorted(known))}, or name a tier instead",
            field="model",
        )


def _specialists(definition: AgentDefinition, chosen: Settings) -> None:
    known = agent_names(chosen.agents_dir)
    if unknown := [one for one in definition.specialists if one not in known]:
        raise NotFound(f"there is no agent {unknown[0]!r}", fix=f"use one of {', '.join(known)}", field="specialists")
