"""A migration as people see it: where each phase is, a picture of its states, and its whole history."""

from collections.abc import Mapping
from datetime import datetime

from blocks.markdown import inert
from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.ops.deed import Outcome
from tasks.ops.migration.plan import MigrationPlan
from tasks.ops.migration.states import MOVES, MigrationState, PhaseState, Status

COLOURS: Mapping[PhaseState, str] = {
    "blocked": "#e0e0e0",
    "running": "#90caf9",
    "verifying": "#b39ddb",
    "done": "#a5d6a7",
    "failed": "#ef9a9a",
    "rolling_back": "#ffcc80",
    "rolled_back": "#bcaaa4",
}
SHOWN_CHARS = 200


class PhaseReport(Frozen):
    """Where a phase is.

    Attributes:
        name: Of the phase.
        state: Where it is.
        attempt: The number of its latest attempt.
        said: What came of it.
    """

    name: str
    state: PhaseState
    attempt: int
    said: str = ""


class MigrationReport(Frozen):
    """What came of a run of a migration.

    Attributes:
        migration: Its id.
        run_id: Under which the audit knows it.
        status: Where it is.
        waits: What it waits for.
        phases: Where each phase is.
        planned: What a dry run would do.
    """

    migration: str
    run_id: str
    status: Status
    waits: str = ""
    phases: tuple[PhaseReport, ...] = ()
    planned: tuple[str, ...] = ()


def report_of(state: MigrationState, planned: tuple[Outcome, ...] | None = None) -> MigrationReport:
    """A migration in short, or what a dry run of it found."""
    phases = tuple(
        PhaseReport(name=one.name, state=one.state, attempt=one.attempt, said=one.said[:SHOWN_CHARS])
        for one in state.phases
    )
    return MigrationReport(
        migration=state.migration,
        run_id=state.run_id,
        status=state.status if planned is None else "planned",
        waits=state.waits,
        phases=phases,
        planned=tuple(f"{one.says}: {one.status}{': ' if one.why else ''}{one.why}" for one in planned or ()),
    )


def migration_markdown(state: MigrationState) -> str:
    """All of a migration: phases, picture and history."""
    lines = [f"**{state.status}** · migration `{state.migration}` · run `{state.run_id}`", ""]
    if state.plan.about:
        lines += [_cell(state.plan.about), ""]
    if state.waits:
        lines += [f"It waits: {_cell(state.waits)}", ""]
    lines += ["| phase | state | attempt | began | ended | what came of it |", "|---|---|---|---|---|---|"]
    for one in state.phases:
        checks = "; ".join(f"{check.name} {'holds' if check.passed else 'FAILS'}" for check in one.checks)
        said = " · ".join(part for part in (one.said, checks, *one.approvers) if part)
        times = f"{_time(one.begun_at)} | {_time(one.ended_at)}"
        lines.append(f"| {one.name} | {one.state} | {one.attempt} | {times} | {_cell(said)} |")
    lines += ["", "```mermaid", phases_picture(state), "```", "", "```mermaid", states_picture(state), "```", ""]
    return "\n".join([*lines, "## History", "", *history_lines(state)])


def history_lines(state: MigrationState) -> list[str]:
    """All that happened, a Markdown line each."""
    return [
        f"- {one.at:%Y-%m-%d %H:%M:%S} · holder {one.token} · {one.phase or 'migration'}"
        f"{f' → {one.state}' if one.state else ''}{f' · {_cell(one.said)}' if one.said else ''}"
        for one in state.history
    ]


def phases_picture(state: MigrationState) -> str:
    """The phases, what they depend on, and where each is, as Mermaid."""
    lines = ["flowchart LR"]
    numbers = {one.name: f"p{number}" for number, one in enumerate(state.phases)}
    for one in state.phases:
        lines.append(f'    {numbers[one.name]}["{one.name}<br/>{one.state}"]:::{one.state}')
    for one in state.phases:
        lines += [f"    {numbers[need]} --> {numbers[one.name]}" for need in state.plan.needs(one.name)]
    lines += [f"    classDef {name} fill:{colour},stroke:#555,color:#000" for name, colour in COLOURS.items()]
    return "\n".join(lines)


def states_picture(state: MigrationState) -> str:
    """The table of moves, with the phases that are in each state, as Mermaid."""
    lines = ["stateDiagram-v2", "    [*] --> blocked"]
    for before, all_after in MOVES.items():
        lines += [f"    {before} --> {after}" for after in all_after]
    for name in MOVES:
        if phases := [one.name for one in state.phases if one.state == name]:
            lines += [f"    note right of {name}", f"        {', '.join(phases)}", "    end note"]
    return "\n".join([*lines, "    done --> [*]", "    rolled_back --> [*]"])


def plan_lines(plan: MigrationPlan) -> list[str]:
    """What a plan will do, a line for each phase."""
    lines: list[str] = []
    for number, phase in enumerate(plan.phases, 1):
        undo = phase.compensation if isinstance(phase.compensation, str) else phase.compensation.action.kind
        facts = [f"after {', '.join(plan.needs(phase.name))}" if plan.needs(phase.name) else "at once"]
        facts += [f"locks {', '.join(phase.locks)}"] if phase.locks else []
        facts += [f"asks: {phase.consent}"] if phase.consent != "rules" else []
        facts += [f"checks {', '.join(check.name for check in phase.checks)}", f"undo: {undo}"]
        says = f": {plain(phase.says)}" if phase.says else ""
        lines.append(f"{number}. {phase.name} ({phase.action.kind}){says} · {' · '.join(facts)}")
    return lines


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%m-%d %H:%M:%S}"


def _cell(text: str) -> str:
    """Text of others in a cell or line of Markdown."""
    return inert(plain(text[:SHOWN_CHARS])).replace("|", "\\|").replace("`", "'").replace("[", "\\[")
