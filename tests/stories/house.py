"""Where the stories of the book happen again: a workspace, an operator's agents and rules, a model that obeys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from blocks.audit.places import open_audit
from blocks.settings import settings
from flows import run_agent
from tasks.agents.result import AgentOptions, AgentResult

Facts = Mapping[str, Any]


@dataclass(frozen=True)
class House:
    """An operator's files, in a folder.

    Attributes:
        folder: The folder; the settings of this process lead to the files in it.
    """

    folder: Path

    @property
    def workspace(self) -> Path:
        """The agents' workspace."""
        return self.folder / "workspace"

    @property
    def accounts(self) -> Path:
        """The accounts file."""
        return self.folder / "accounts.yaml"

    def agent(
        self,
        name: str,
        *tools: str,
        context: Mapping[str, str] | None = None,
        more_context: Sequence[str] = (),
        **facts: Any,
    ) -> str:
        """Write an agent's file, and the files that it always sees; gives its name."""
        folder = self.folder / "definitions"
        content = {"description": name, "role": f"You are {name}.", "remembers": False, "tools": [*tools], **facts}
        for file, text in (context or {}).items():
            (folder / file).write_text(text)
        content["context"] = [*(context or {}), *more_context]
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
        return name

    def rules(self, *rules: Facts) -> None:
        """Write rules that are added to the shipped ones."""
        (self.folder / "policy.yaml").write_text(yaml.safe_dump({"rules": [dict(one) for one in rules]}))

    def change_accounts(self, *, account: Facts | None = None, model: Facts | None = None, **more: Any) -> None:
        """Change the accounts file that `agent_model` wrote.

        Args:
            account: Fields of its account.
            model: Fields of the account's model.
            more: Other parts of the file, as `budgets`.
        """
        content = yaml.safe_load(self.accounts.read_text()) | more
        content["accounts"][0] |= account or {}
        for one in content["accounts"][0]["models"].values():
            one |= model or {}
        self.accounts.write_text(yaml.safe_dump(content))

    async def run(self, goal: str, agent: str, *, run_id: str | None = None, **options: Any) -> AgentResult:
        """Have an agent work on a goal, with nobody to ask unless said otherwise."""
        fields = {"workspace": str(self.workspace), "user": "ann", "attended": False, **options}
        return await run_agent(goal, agent, AgentOptions(**fields), run_id=run_id)

    def audit(self, run_id: str) -> list[Any]:
        """What was written down of a run."""
        return [record.entry for record in open_audit(settings().agents_home).read(run_id)]

    def rules_that_decided(self, run_id: str) -> set[str]:
        """The ids of the rules that decided in a run."""
        return {entry.rule for entry in self.audit(run_id) if entry.phase == "decided"}


def allow(rule: str, *tools: str, **facts: Any) -> Facts:
    """A rule of an operator who trusts the agent."""
    return {"id": rule, "verdict": "allow", "reason": "the operator lets it go on", "tools": [*tools], **facts}
