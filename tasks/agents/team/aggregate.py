"""The results of a team put together: each statement with its sources, contradictions and gaps kept visible."""

from collections.abc import Collection, Iterable, Sequence

from blocks.accounts.structured import Completes, Structured, ask
from blocks.errors import C500Error, EngineFailed, Stopped, TooLarge
from blocks.job import Notice
from blocks.model import Frozen
from tasks.agents.result import AgentUsage
from tasks.agents.team.planning import by_coordinator, caller_of, usage_of
from tasks.agents.team.prompts import Given, merge_prompt
from tasks.agents.team.result import Contradiction, Finding, Missing, TaskOutcome, TeamAnswer
from tasks.agents.team.team_store import TeamBegun

MOST_CHARS = (200_000, 50_000, 12_000)
"""Characters of all results together, tried one after the other while no model takes so much."""

SHOWN = 80
"""Characters of a statement that a notice quotes."""


class Synthesis(Frozen):
    """What the model answers.

    Attributes:
        findings: The answer; every statement with the ids of the results that say so.
        contradictions: What results disagree about, with every side.
        missing: Parts of the goal that no result covers.
    """

    findings: tuple[Finding, ...]
    contradictions: tuple[Contradiction, ...] = ()
    missing: tuple[str, ...] = ()


class Answered(Frozen):
    """An answer, and what it took to make it."""

    answer: TeamAnswer
    usage: AgentUsage = AgentUsage()


async def answered(
    pool: Completes, begun: TeamBegun, outcomes: Sequence[TaskOutcome], deadline_s: float | None
) -> Answered:
    """The results put together by the coordinator's model; by rule, and labelled so, when none does.

    Args:
        pool: Who answers.
        begun: The team's run.
        outcomes: Of all tasks, in the order of the plan.
        deadline_s: Seconds left; None for no deadline.

    Raises:
        Stopped: the run was stopped.
    """
    given = [Given(task_id=one.task_id, text=one.output) for one in outcomes if one.is_good]
    gaps = gaps_of(outcomes)
    if not given:
        return unmerged(outcomes)
    try:
        found, left_out = await _asked(pool, begun, given, gaps, deadline_s)
        answer = cleaned(found.value, [one.task_id for one in given])
    except Stopped:
        raise
    except C500Error as error:
        notice = Notice(step="aggregate", code=error.code, message=f"{error.message} ({error.fix})")
        return unmerged(outcomes, notice)
    notices = (*left_out, *answer.notices)
    whole = answer.model_copy(update={"missing": (*gaps, *answer.missing), "notices": notices})
    return Answered(answer=whole, usage=usage_of(found.answers))


async def _asked(
    pool: Completes, begun: TeamBegun, given: Sequence[Given], gaps: Sequence[Missing], deadline_s: float | None
) -> tuple[Structured[Synthesis], tuple[Notice, ...]]:
    """The model's answer, with as much of the results as it takes."""
    without = [gap.task_id for gap in gaps if gap.task_id]
    for most in MOST_CHARS:
        asked = merge_prompt(begun.coordinator.role, begun.goal, given, without, most)
        try:
            found = await ask(pool, by_coordinator(begun, asked), Synthesis, caller_of(begun, deadline_s))
        except TooLarge:
            if most == MOST_CHARS[-1]:
                raise
            continue
        return found, _cut_notices(given, most)
    raise TypeError("there is no size to try")


def _cut_notices(given: Sequence[Given], most: int) -> tuple[Notice, ...]:
    cut = [one.task_id for one in given if len(one.text) > most // len(given)]
    if not cut:
        return ()
    message = f"The results of {', '.join(cut)} were too long: the model saw their beginning and end."
    return (Notice(step="aggregate", code="results_cut", message=message),)


def gaps_of(outcomes: Iterable[TaskOutcome]) -> tuple[Missing, ...]:
    """What tasks without a result leave open."""
    return tuple(
        Missing(task_id=one.task_id, what=f"{one.state}: {one.trouble.message if one.trouble else 'no result'}")
        for one in outcomes
        if not one.is_good
    )


def cleaned(answer: Synthesis, known: Collection[str]) -> TeamAnswer:
    """A model's answer without statements that no result supports; what is dropped is told.

    Args:
        answer: What the model answered.
        known: Ids of the tasks whose results it saw.

    Raises:
        EngineFailed: nothing of it is supported.
    """
    notices: list[Notice] = []
    findings = _sourced(answer.findings, known, notices)
    contradictions: list[Contradiction] = []
    for one in answer.contradictions:
        sides = _sourced(one.sides, known, notices)
        if len(sides) > 1:
            contradictions.append(one.model_copy(update={"sides": tuple(sides)}))
        else:  # what is left is no contradiction, but a statement all the same
            findings += sides
    if not findings and not contradictions:
        raise EngineFailed(
            "the coordinator's answer holds no statement that a result supports",
            fix="give the coordinator a stronger model or tier",
        )
    used = {
        source for part in (findings, *(one.sides for one in contradictions)) for one in part for source in one.sources
    }
    if unused := [name for name in known if name not in used]:
        message = f"No statement of the answer rests on the results of {', '.join(unused)}; read them beside it."
        notices.append(Notice(step="aggregate", code="result_unused", message=message))
    return TeamAnswer(
        findings=tuple(findings),
        contradictions=tuple(contradictions),
        missing=tuple(Missing(what=what) for what in answer.missing if what.strip()),
        notices=tuple(notices),
    )


def _sourced(findings: Iterable[Finding], known: Collection[str], notices: list[Notice]) -> list[Finding]:
    """Statements with those of their sources that exist."""
    kept: list[Finding] = []
    for one in findings:
        sources = tuple(dict.fromkeys(source for source in one.sources if source in known))
        wrong = ", ".join(dict.fromkeys(source for source in one.sources if source not in known))
        if not sources or not one.text.strip():
            message = f"A statement was dropped: its source is {wrong or 'nothing'}, no result: «{one.text[:SHOWN]}»."
            notices.append(Notice(step="aggregate", code="statement_dropped", message=message))
            continue
        if wrong:
            message = f"A source was dropped: {wrong} is no result: «{one.text[:SHOWN]}»."
            notices.append(Notice(step="aggregate", code="source_dropped", message=message))
        kept.append(one.model_copy(update={"sources": sources}))
    return kept


def unmerged(outcomes: Iterable[TaskOutcome], *notices: Notice) -> Answered:
    """The declared fallback: the results one after the other. Nothing is compared: contradictions are not found."""
    every = tuple(outcomes)
    findings = tuple(Finding(text=one.output, sources=(one.task_id,)) for one in every if one.is_good)
    return Answered(answer=TeamAnswer(findings=findings, missing=gaps_of(every), by="rule", notices=notices))
