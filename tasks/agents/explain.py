"""What would be decided of a tool call, without a run and without doing anything."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

from pydantic import AwareDatetime

from blocks.action import Action, Label
from blocks.errors import BadInput, NotAllowed, Unsupported
from blocks.memory import Memory
from blocks.model import Frozen
from blocks.policy import Decision, Policy
from blocks.redact import default_redactor
from blocks.settings import Settings
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.opened import Opened, private_folder
from tasks.agents.perform import checked_arguments
from tasks.agents.permission import action_of
from tasks.agents.registry import CONFIGURED, built_in
from tasks.agents.tool import Place, Tool
from tasks.agents.working import Unavailable


class Asked(Frozen):
    """A call that somebody wants to know about.

    Attributes:
        tool: Name of the tool.
        arguments: Of the call.
        profile: The profile that is asked for.
        agent: Which agent would make it.
        user: For whom.
        labels: What its run has seen.
        attended: Whether somebody can be asked.
        at: When.
    """

    tool: str
    arguments: dict[str, Any]
    profile: str
    agent: str
    user: str
    labels: frozenset[Label] = frozenset()
    attended: bool = True
    at: AwareDatetime


class Explained(Frozen):
    """What would be decided.

    Attributes:
        decision: Of the rules, or of what lies before them.
        action: The call as the rules see it; None where it has no form that they see.
        notes: What else there is to know.
    """

    decision: Decision
    action: Action | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Agent:
    name: str


@dataclass(frozen=True)
class _Run:
    """What `action_of` looks at of a run."""

    place: Place
    labels: frozenset[Label]
    user: str
    definition: _Agent


def explained(asked: Asked, chosen: Settings, policy: Policy, workspace: Path | None) -> Explained:
    """Decide of a call as a run would.

    Args:
        asked: The call.
        chosen: The settings.
        policy: The rules.
        workspace: Folder that the agent would work in; None for an empty one as a new run has.

    Raises:
        NotFound: there is no such profile or folder.
        BadInput: the arguments are not those of the tool, or DATABASES_FILE is wrong.
    """
    with _places(chosen, workspace) as (folder, private):
        memory = Memory(private / "memory.db", default_redactor())
        try:
            tool = built_in(chosen, lambda _host: False, memory).get(asked.tool)
        finally:
            memory.close()
        placed = policy.placed(workspace=folder, state=policy.state)
        return _explained(asked, tool, placed, _place(folder, private))


def _explained(asked: Asked, tool: Tool[Any] | None, policy: Policy, place: Place) -> Explained:
    notes = tuple(_notes(asked, tool, policy))
    action = _unknown(asked)
    if tool is not None:
        checked_arguments(tool, asked.arguments)
        run = _Run(place, asked.labels, asked.user, _Agent(asked.agent))
        try:
            action = action_of(cast("Opened", run), tool, asked.arguments)
        except (NotAllowed, BadInput) as error:
            return Explained(decision=_out_of_reach(asked, policy, error), action=None, notes=notes)
    decision = policy.decide(action, asked.profile, now=asked.at, attended=asked.attended)
    return Explained(decision=decision, action=action, notes=notes)


def _unknown(asked: Asked) -> Action:
    """A call of a tool that is not in the registry."""
    return Action(
        tool=asked.tool,
        arguments=asked.arguments,
        known=False,
        labels=asked.labels,
        user=asked.user,
        agent=asked.agent,
    )


def _out_of_reach(asked: Asked, policy: Policy, error: NotAllowed | BadInput) -> Decision:
    return Decision(
        verdict="deny",
        rule="reach",
        reason=f"{error.message} ({error.fix})",
        policy_version=policy.version,
        profile=policy.in_force(asked.profile, asked.at),
    )


def _notes(asked: Asked, tool: Tool[Any] | None, policy: Policy) -> Iterator[str]:
    if tool is None and asked.tool in CONFIGURED:
        yield f"{asked.tool} cannot be used here: its program, file or server is not set up; it is decided as unknown"
    elif tool is None:
        yield f"{asked.tool} is no tool of C500; of MCP servers nothing is known here"
    elif not policy.visible([asked.tool], asked.profile):
        yield "models are not shown this tool, since it is refused whatever it is told"
    if policy.dry_run(asked.profile) and not (tool and tool.read_only):
        yield "the profile plans only: the model is told what would be done, and it is not done"


@contextmanager
def _places(chosen: Settings, workspace: Path | None) -> Generator[tuple[Path, Path]]:
    """The folder that the agent would work in, and one of ours; what was made for this is removed."""
    with TemporaryDirectory(dir=private_folder(chosen.agents_home), prefix=".explain-") as made:
        own, private = Path(made, "workspace"), Path(made, "private")
        for folder in (own, private):
            folder.mkdir(mode=0o700)
        yield (own if workspace is None else workspace).resolve(), private


def _place(workspace: Path, private: Path) -> Place:
    why = Unsupported("nothing is run to explain a call", fix="have an agent make it")
    return Place(
        workspace=Workspace(workspace),
        sandbox=Unavailable("bubblewrap", why),
        trash=Trash(private / "trash"),
        redactor=default_redactor(),
        private=private,
    )
