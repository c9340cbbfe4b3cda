"""Opening all that a run works with: rules, audit, sandbox, workspace, accounts, tools."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from blocks.accounts.open import open_pool
from blocks.action import Action, Touched
from blocks.agent_metrics import FOLDER, AgentMetrics, LiveSessions
from blocks.audit.places import open_audit
from blocks.effects import EffectLedger
from blocks.errors import Unsupported
from blocks.memory import Memory
from blocks.memory.open import open_memory
from blocks.policy import Policy
from blocks.policy.open import open_policy
from blocks.redact import default_redactor
from blocks.sandbox import Completed, Level, Sandbox, SandboxLimits, open_sandbox
from blocks.settings import Settings
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.active import active_before, keeping_time
from tasks.agents.guarded import GuardedRun
from tasks.agents.kept import Kept
from tasks.agents.opened import Ask, Notify, Opened, private_folder
from tasks.agents.registry import tools_of
from tasks.agents.runs import Begun
from tasks.agents.team.governor import Governor
from tasks.agents.tool import Place


@asynccontextmanager
async def working(run: Begun, chosen: Settings, ask: Ask, notify: Notify) -> AsyncGenerator[Opened]:
    """All that a run works with; closed with the block.

    Args:
        run: As it was begun.
        chosen: The settings.
        ask: Waits for the answer of a person.
        notify: Tells the operators.

    Raises:
        BadInput: the policy, the accounts, the agent or a file of tools is wrong.
        NotFound: there is no such profile.
    """
    policy = policy_of(run)
    place = place_of(run, chosen, policy)
    kept = Kept(private_folder(chosen.agents_home, "runs", run.run_id))
    async with (
        AsyncExitStack() as stack,
        open_pool() as pool,
        remembering() as memory,
        tools_of(run.definition, chosen, hosts_of(run, policy), memory, place.sandbox.name) as toolbox,
    ):
        tools = toolbox.tools
        metrics = private_folder(chosen.agents_home, FOLDER)
        live = stack.enter_context(LiveSessions(metrics / "sessions").session(run.definition.name))
        work = Opened(
            run_id=run.run_id,
            definition=run.definition,
            goal=run.goal,
            user=run.user,
            begun_by=run.begun_by,
            session=run.session,
            profile=run.profile,
            attended=run.attended,
            dry_run=run.dry_run or policy.dry_run(run.profile),
            approval_s=run.approval_s,
            tools=tools,
            hidden=hidden_of(policy, run.profile, tools),
            notices=toolbox.notices,
            place=place,
            policy=policy,
            audit=open_audit(private_folder(chosen.agents_home), place.redactor),
            effects=EffectLedger(private_folder(chosen.agents_home, "effects")),
            kept=kept,
            ask=ask,
            notify=notify,
            pool=pool,
            memory=memory,
            metrics=AgentMetrics(metrics),
            live=live,
            guarded=guarded_of(run, kept),
            labels=set(run.labels),
            governor=governor_of(chosen),
        )
        try:
            async with keeping_time(work.guarded, kept):
                yield work
        finally:
            await asyncio.to_thread(work.close)


def governor_of(chosen: Settings) -> Governor | None:
    """Who gives a second opinion on calls, where that is wanted."""
    return Governor(model=chosen.governor_model or None) if chosen.governor else None


def guarded_of(run: Begun, kept: Kept) -> GuardedRun:
    """The run as its guard counts it: time goes on where the last attempt was."""
    return GuardedRun(agent=run.definition.name, run_id=run.run_id, used_s=active_before(kept))


def policy_of(run: Begun) -> Policy:
    """The rules at work for a run. Raises `NotFound` and `BadInput`."""
    policy = open_policy(workspace=Path(run.workspace))
    policy.in_force(run.profile)
    return policy.with_rules(run.definition.rules, f"agent {run.definition.name}")


def hosts_of(run: Begun, policy: Policy) -> Callable[[str], bool]:
    """Whether a web page may lead on to a host."""

    def allowed(place: str) -> bool:
        action = Action(tool="http_get", arguments={}, read_only=True, touched=Touched(hosts=(place,)), user=run.user)
        return policy.decide(action, run.profile, now=datetime.now(UTC), attended=False).verdict == "allow"

    return allowed


@asynccontextmanager
async def remembering() -> AsyncGenerator[Memory]:
    """The agents' memory; closed with the block."""
    memory = open_memory()
    try:
        yield memory
    finally:
        memory.close()


def hidden_of(policy: Policy, profile: str, tools: Iterable[str]) -> frozenset[str]:
    """The tools that the rules never allow, by name."""
    names = frozenset(tools)
    return names.difference(policy.visible(names, profile))


def place_of(run: Begun, chosen: Settings, policy: Policy) -> Place:
    """What the tools of a run may use."""
    home = chosen.agents_home
    return Place(
        workspace=Workspace(Path(run.workspace)),
        sandbox=sandbox_of(policy, run.profile, chosen),
        trash=Trash(private_folder(home, "trash")),
        redactor=default_redactor(),
        private=private_folder(home, "runs", run.run_id),
    )


def _readable(chosen: Settings) -> tuple[Path, ...]:
    return tuple(Path(part).expanduser() for part in chosen.sandbox_readable.split(":") if part)


def sandbox_of(policy: Policy, profile: str, chosen: Settings) -> Sandbox:
    """The sandbox that the profile asks for; one that says why it cannot be had, where it cannot."""
    try:
        return open_sandbox(policy.sandboxed(profile), readable=_readable(chosen))
    except Unsupported as error:
        return Unavailable(policy.sandboxed(profile), error)


class Unavailable:
    """No sandbox: an agent may do without it as long as it runs no program.

    Args:
        name: Which it would have to be.
        why: Why there is none.
    """

    def __init__(self, name: Level, why: Unsupported) -> None:
        self._name: Level = name
        self._why = why

    @property
    def name(self) -> Level:
        """Which it would have to be."""
        return self._name

    async def run(
        self,
        argv: Sequence[str],
        *,
        workspace: Path,
        limits: SandboxLimits | None = None,
        stdin: bytes = b"",
        env: Mapping[str, str] | None = None,
        writable: bool = True,
    ) -> Completed:
        """Refuse. Raises `Unsupported`."""
        raise self._why
