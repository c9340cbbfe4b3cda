"""Teams of real agents with a simulated model that says, by task and turn, what a test says."""

import re
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from blocks.audit.places import open_audit
from blocks.settings import settings
from deployments.simulator.asked import Asked
from tasks.agents.team.result import TeamOptions
from tests.fakes.llm.agent_model import AgentModel, agent_model, calls, turn_of

RUN = "team-of-the-test"
COORDINATOR = {
    "description": "Shares work out.",
    "role": "You lead.",
    "specialists": ["mender", "looker"],
}
MENDER = {
    "description": "Changes things.",
    "role": "You mend.",
    "tools": ["read_file", "write_file", "list_files"],
    "remembers": False,
}
LOOKER = {"description": "Reads things.", "role": "You look.", "tools": ["read_file"], "remembers": False}


def write_agents(folder: Path) -> Path:
    """A coordinator and its two specialists."""
    folder.mkdir()
    for name, agent in (("coordinator", COORDINATOR), ("mender", MENDER), ("looker", LOOKER)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(agent))
    return folder


def task(name: str, *needs: str, agent: str = "looker", **more: Any) -> dict[str, Any]:
    """A task as the coordinator answers it."""
    return {"id": name, "goal": f"Do {name}.", "agent": agent, "depends_on": list(needs), **more}


def options(**given: Any) -> TeamOptions:
    """Options without a stagger and with nobody to ask, unless said otherwise."""
    return TeamOptions(**{"stagger_s": 0.0, "attended": False, "user": "ann", **given})


def role_of(prompt: str) -> str:
    """What a prompt is for: `plan`, `merge`, or a task's id."""
    if "You coordinate a team of agents" in prompt:
        return "plan"
    if "You put the results of a team" in prompt:
        return "merge"
    found = re.search(r"^Sub-task ([a-z0-9_-]+):", prompt, re.MULTILINE)
    return found[1] if found else "unknown"


def one_finding_each(asked: Asked) -> dict[str, Any]:
    """A merge: what each result says, once."""
    found = re.findall(r'<result [0-9a-f]+ of="([^"]+)">\n(.*?)\n</result', asked.prompt, re.DOTALL)
    return {"findings": [{"text": text, "sources": [name]} for name, text in found]}


@dataclass
class Says:
    """What the model says: by role a list of turns, each a last word, tool calls, or an answer as JSON.

    Attributes:
        by_role: The turns; `<id> is done.` where nothing is said.
        asked: Roles, in the order they asked.
        prompts: Their prompts.
        held: Role whose requests wait until `opened` is set.
        opened: See `held`.
        arrived: Set when the first such request is there.
    """

    by_role: dict[str, list[Any]]
    asked: list[str] = field(default_factory=list)
    prompts: list[tuple[str, str]] = field(default_factory=list)
    held: str = ""
    opened: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)

    def __call__(self, asked: Asked) -> Any:
        """The script of the simulator."""
        role = role_of(asked.prompt)
        self.asked.append(role)
        self.prompts.append((role, asked.prompt))
        if role == self.held:
            self.arrived.set()
            self.opened.wait(60)
        turns = self.by_role.get(role, [one_finding_each if role == "merge" else f"{role} is done."])
        turn = self.asked.count(role) - 1 if role in ("plan", "merge") else turn_of(asked)
        said = turns[min(turn, len(turns) - 1)]
        said = said(asked) if callable(said) else said
        return said if isinstance(said, (str, dict)) else calls(*said)

    def prompt(self, role: str) -> str:
        """The latest prompt in a role."""
        return [prompt for one, prompt in self.prompts if one == role][-1]


@contextmanager
def team_model(file: Path, by_role: dict[str, list[Any]], **more: Any) -> Generator[tuple[Says, AgentModel]]:
    """Serve a model that says this, and write an accounts file that leads to it."""
    says = Says(by_role, held=more.pop("held", ""))
    try:
        with agent_model(file, says, **more) as model:
            yield says, model
    finally:
        says.opened.set()


def phases(run_id: str) -> list[str]:
    """What was written down of a run, in order."""
    return [one.entry.phase for one in open_audit(settings().agents_home).read(run_id)]
