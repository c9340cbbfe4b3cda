"""A request as people read it: the plan with how far it is, the answer with its sources, and what it took."""

from collections.abc import Mapping, Sequence

from tasks.dispatch.plan import Plan
from tasks.dispatch.result import Conflict, DispatchResult, Evaluation, Statement, SubTaskResult

MARKS = {"done": "✓ done", "failed": "✗ failed", "skipped": "– skipped", "running": "… running", "waiting": "waiting"}


def plan_markdown(plan: Plan, states: Mapping[str, str], results: Mapping[str, SubTaskResult]) -> str:
    """The plan as a table, with the state of each sub-task.

    Args:
        plan: The plan.
        states: A key of `MARKS` by sub-task; `waiting` for those it does not have.
        results: What came of those that ended.
    """
    lines = ["| sub-task | needs | who | priority | state | by | time |", "|---|---|---|---|---|---|---|"]
    for task in plan.tasks:
        result = results.get(task.id)
        by = f"{result.model} at {result.account or 'a cache'}" if result and result.model else ""
        took = f"{result.latency_s:.1f} s" if result and result.status == "done" else ""
        why = f": {result.trouble.message}" if result and result.trouble else ""
        cells = [
            f"**{task.id}** {task.title}",
            ", ".join(task.depends_on),
            f"{task.speciality}{f' ({task.tier})' if task.tier else ''}",
            str(task.priority),
            MARKS[states.get(task.id, "waiting")] + why,
            by,
            took,
        ]
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def answer_markdown(statements: Sequence[Statement], conflicts: Sequence[Conflict]) -> str:
    """The answer, each statement with its sources, and what contradicts what."""
    lines: list[str] = []
    section = ""
    for one in statements:
        if one.section and one.section != section:
            lines += [f"## {one.section}", ""]
        section = one.section or section
        lines += [f"{one.text.strip()} {_sources(one)}", ""]
    if conflicts:
        lines += ["## Contradictions", ""]
        for conflict in conflicts:
            lines += [f"**{conflict.about.strip()}**", ""]
            lines += [f"- {side.text.strip()} {_sources(side)}" for side in conflict.sides] + [""]
    return "\n".join(lines).strip() + "\n"


def result_markdown(result: DispatchResult) -> str:
    """All of a result."""
    lines = [f"# {_title(result.request)}", "", f"*{result.status}*", ""]
    if result.merged_by == "rule":
        lines += ["*Put together by rule, not by a model: nothing was compared.*", ""]
    if result.answer:
        lines += [result.answer, ""]
    elif done := [one for one in result.results if one.status == "done"]:
        lines += ["Nothing was merged. What the sub-tasks found:", ""]
        for one in done:
            lines += [f"## {one.title}", "", one.output or "", ""]
    if result.trouble:
        lines += [f"**What ended it** ({result.trouble.code}): {result.trouble.message}: {result.trouble.fix}", ""]
    if result.evaluation:
        lines += ["## Evaluation", "", *_scores(result.evaluation), ""]
    lines += _bullets("Assumptions", result.assumptions)
    lines += _bullets("Notices", [f"**{one.step}** ({one.code}): {one.message}" for one in result.notices])
    if result.plan:
        states = {one.id: one.status for one in result.results}
        lines += ["## Sub-tasks", "", plan_markdown(result.plan, states, {one.id: one for one in result.results})]
    lines += ["## What it took", "", "| figure | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in figures(result).items()]
    return "\n".join(lines).strip() + "\n"


def figures(result: DispatchResult) -> dict[str, str]:
    """What it took, by name."""
    cost = result.cost_usd
    shown = {
        "score": f"{result.evaluation.mean:.2f}" if result.evaluation else "",
        "rounds": " → ".join(_round(one.score, one.kept) for one in result.rounds),
        "sub-tasks": f"{sum(one.status == 'done' for one in result.results)} of {len(result.results)} done",
        "accounts": ", ".join(sorted({one.account for one in result.results if one.account})),
        "calls": str(result.calls),
        "tokens": f"{result.spent.prompt_tokens} sent, {result.spent.completion_tokens} answered",
        "cost": "unknown: a model has no price" if cost is None else f"{cost:.6f} USD",
    }
    rows = {name: value for name, value in shown.items() if value}
    return rows | {f"time to {stage}": f"{took_s:.2f} s" for stage, took_s in result.timings_s.items()}


def _round(score: float | None, kept: bool) -> str:
    shown = "not judged" if score is None else f"{score:.2f}"
    return f"{shown} (kept)" if kept else shown


def _scores(evaluation: Evaluation) -> list[str]:
    rows = [f"| {_cell(one.criterion)} | {one.score:.2f} | {_cell(one.reason)} |" for one in evaluation.scores]
    return ["| criterion | score | reason |", "|---|---|---|", *rows]


def _bullets(heading: str, lines: Sequence[str]) -> list[str]:
    return [f"## {heading}", "", *(f"- {line}" for line in lines), ""] if lines else []


def _sources(statement: Statement) -> str:
    return f"[{', '.join(statement.sources)}]"


def _title(request: str) -> str:
    first = request.strip().splitlines()[0]
    return first if len(first) <= 100 else f"{first[:99]}…"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
