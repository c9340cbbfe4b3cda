"""What stands between an agent and the world beside permission: the guard before it, context and memory behind."""

from pathlib import Path

from pydantic_ai.capabilities import AbstractCapability

from blocks.settings import Settings
from blocks.switches import FOLDER, open_switches
from blocks.workspace import Workspace
from tasks.agents.breaker import FileBreakers
from tasks.agents.context import TokenLedger, compaction, request_tokens
from tasks.agents.guard import Guard, GuardEvent
from tasks.agents.measured import count_decision
from tasks.agents.memory import Recollection
from tasks.agents.opened import Opened, private_folder
from tasks.agents.pins import PinnedContext, context_pins


def guard_of(work: Opened, chosen: Settings) -> Guard:
    """The guard of a run: stops, limits, loops and breakers."""

    async def tell(event: GuardEvent) -> None:
        kind = "stopped" if event.kind == "stopped" else "decided"
        name = f"guard/{work.guarded.steps}/{work.guarded.actions}/{event.kind}/{event.rule}"
        count_decision(work, name, event.kind, event.rule)
        if event.call_id is not None and event.kind != "stopped":
            work.tally.refused.append(f"{event.tool}: {event.message}")
        await work.record(
            kind,
            name,
            call_id=event.call_id,
            tool=event.tool,
            decision=None if event.kind == "stopped" else "deny",
            rule=f"guard:{event.rule}",
            trigger=event.message,
        )

    return Guard(
        switches=open_switches(chosen.switches_url, switches_folder(chosen)),
        of=lambda _: work.guarded,
        limits=work.definition.limits,
        polls=frozenset(name for name, tool in work.tools.items() if tool.polls),
        read_only=frozenset(name for name, tool in work.tools.items() if tool.read_only),
        breakers=FileBreakers(private_folder(chosen.agents_home, "breakers")),
        tell=tell,
    )


def inner_of(work: Opened, definition_folder: Path) -> list[AbstractCapability[str]]:
    """What keeps the conversation within the model's room, and brings context and memory into it.

    Args:
        work: The run.
        definition_folder: Where the agent's definition and its context files lie.

    Raises:
        C500Error: a context file cannot be used.
    """
    definition = work.definition
    room = request_tokens(work.pool.accounts, definition.model, definition.tier, definition.limits.output_tokens)
    own = Workspace(definition_folder)
    pins = context_pins(definition.context, own, work.place.workspace)
    found: list[AbstractCapability[str]] = [
        PinnedContext(pins, kept=work.kept),
        *compaction(room, work.kept),
        TokenLedger(room),
    ]
    return [*found, Recollection(work.memory)] if definition.remembers else found


def switches_folder(chosen: Settings) -> Path:
    """Where an operator may set a stop by making a file."""
    return private_folder(chosen.agents_home, FOLDER)
