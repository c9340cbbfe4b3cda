"""A team's run as people read it: the plan with how far it is, the answer with its sources, and what it took."""

from collections.abc import Mapping, Sequence

from blocks.markdown import inert
from tasks.agents.team.plan import TeamPlan
from tasks.agents.team.result import Finding, TaskOutcome, TeamAnswer, TeamResult

MARKS = {
    "done": "✓ done",
    "reused": "✓ done by another run",
    "running": "… at work",
    "limited": "✗ limited",
    "handed_off": "⏸ waits for a person",
    "stopped": "⏹ stopped",
    "failed": "✗ failed",
    "skipped": "– skipped",
    "waiting": "waiting",
}


def plan_markdown(plan: TeamPlan, states: Mapping[str, str], outcomes: Mapping[str, TaskOutcome]) -> str:
    """The plan as a table, with the state of each task.

    Args:
        plan: The plan.
        states: A key of `MARKS` by task; `waiting` for those it does not have.
        outcomes: What came of those that ended.
    """
    lines = ["| task | agent | needs | changes | state | run | cost |", "|---|---|---|---|---|---|---|"]
    for task in plan.tasks:
        outcome = outcomes.get(task.id)
        why = f": {outcome.trouble.message}" if outcome and outcome.trouble else ""
        cells = [
            f"**{task.id}** {_first_line(task.goal)}",
            task.agent,
            ", ".join(task.depends_on),
            str(task.intent or ""),
            MARKS[states.get(task.id, "waiting")] + why,
            (outcome.run_id or outcome.shared_with or "") if outcome else "",
            f"${outcome.usage.cost_usd:.6f}" if outcome else "",
        ]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def answer_markdown(answer: TeamAnswer) -> str:
    """The answer: statements with their sources, what results disagree about, and what is missing."""
    lines: list[str] = []
    if answer.by == "rule" and answer.findings:
        lines += ["*Put together by rule, not by a model: nothing was compared.*", ""]
    for one in answer.findings:
        lines += [_sourced(one), ""]
    if answer.contradictions:
        lines += ["## Contradictions", ""]
        for contradiction in answer.contradictions:
            lines += [f"**{contradiction.about.strip()}**", ""]
            lines += [f"- {_sourced(side)}" for side in contradiction.sides] + [""]
    if answer.missing:
        lines += ["## Missing", ""]
        lines += [f"- **{one.task_id}** {one.what}" if one.task_id else f"- {one.what}" for one in answer.missing]
    return "\n".join(lines).strip() + "\n"


def team_markdown(result: TeamResult) -> str:
    """All of a result."""
    lines = [f"# {_first_line(result.goal)}", "", f"*{result.status}*", "", answer_markdown(result.answer)]
    if result.trouble:
        lines += [f"**What kept it** ({result.trouble.code}): {result.trouble.message}: {result.trouble.fix}", ""]
    lines += _bullets("Assumptions", result.plan.assumptions)
    notices = [f"**{one.step}** ({one.code}): {one.message}" for one in (*result.notices, *result.answer.notices)]
    notices += [f"**{one.task_id}** {notice}" for one in result.outcomes for notice in one.notices]
    lines += _bullets("Notices", notices)
    states = {one.task_id: one.state for one in result.outcomes}
    lines += ["## Tasks", "", plan_markdown(result.plan, states, {one.task_id: one for one in result.outcomes})]
    changes = [f"**{one.task_id}** {_indented(what)}" for one in result.outcomes for what in one.would_change]
    lines += _bullets("What would be changed", changes)
    refused = [f"**{one.task_id}** {call}" for one in result.outcomes for call in one.refused]
    lines += _bullets("Refused calls", refused)
    messages = [f"{one.seq}. {one.sender} → {one.to}: {one.kind} of {one.task_id}" for one in result.messages]
    lines += ["## Messages", "", *messages, ""] if messages else []
    used = result.usage
    lines += [
        "## What it took",
        "",
        f"{used.steps} steps, {used.actions} actions, {used.prompt_tokens} tokens sent, {used.completion_tokens} "
        f"answered, ${used.cost_usd:.6f}, {used.duration_s:.0f} s of work",
    ]
    return inert("\n".join(lines).strip() + "\n")


def _bullets(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"## {heading}", "", *(f"- {line}" for line in lines), ""] if lines else []


def _indented(text: str) -> str:
    """A text within a bullet; its further lines are shown as they are."""
    first, *more = text.splitlines() or [""]
    return "\n".join([first, "", *(f"      {line}" for line in more)] if more else [first])


def _sourced(finding: Finding) -> str:
    return f"{finding.text.strip()} [{', '.join(finding.sources)}]"


def _first_line(text: str) -> str:
    first = text.strip().splitlines()[0]
    return first if len(first) <= 100 else f"{first[:99]}…"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
