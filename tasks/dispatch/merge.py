"""Results put together: each statement once, with its sources; contradictions stay visible."""

import re
from collections.abc import Collection, Iterable, Sequence

from blocks.accounts.chat import ChatRequest
from blocks.errors import EngineFailed
from blocks.job import Notice
from blocks.model import Frozen
from tasks.dispatch.asking import asking
from tasks.dispatch.means import means
from tasks.dispatch.prompts import Brief, Quoted, merge_prompt
from tasks.dispatch.quoting import fitting, left_out_notices
from tasks.dispatch.request import Coordinator
from tasks.dispatch.result import Conflict, Merged, Statement
from tasks.dispatch.spent import Spent

SHOWN = 80
"""Characters of a statement that a notice quotes."""


class MergeAnswer(Frozen):
    """What the model answers."""

    statements: tuple[Statement, ...]
    conflicts: tuple[Conflict, ...] = ()


@asking("merge")
async def merge_step(dispatch_id: str, brief: Brief, given: tuple[Quoted, ...], by: Coordinator) -> Merged:
    """The coordinator merges results.

    Args:
        dispatch_id: Of which request.
        brief: The request.
        given: The results.
        by: Who merges.

    Raises:
        EngineFailed: its answer cannot be read, or no statement of it has a source.
        C500Error: as `Means.complete`.
    """
    now = means()
    request, left_out = fitting(
        lambda kept, out: _asked(by, brief, kept, out), given, lambda request: now.takes(request, "coordinator")
    )
    found = await now.ask(request, MergeAnswer)
    quoted = {one.id for one in given} - {one.id for one in left_out}
    merged = cleaned(found.value, quoted)
    if not merged.statements and not merged.conflicts:
        raise EngineFailed(
            "the merged answer holds no statement that a result supports",
            fix="name a stronger coordinator (--model), or allow --fallback-merge",
        )
    return merged.model_copy(
        update={
            "spent": Spent.of_all(found.answers),
            "notices": (*left_out_notices("merge", left_out), *merged.notices),
        }
    )


def _asked(by: Coordinator, brief: Brief, kept: Sequence[Quoted], left_out: Sequence[Quoted]) -> ChatRequest:
    # With the schema that `ask` will add: it takes its part of the context too.
    schema = {"response_schema": MergeAnswer.model_json_schema()}
    return by.asked(merge_prompt(brief, kept, left_out)).model_copy(update=schema)


def cleaned(answer: MergeAnswer, known: Collection[str]) -> Merged:
    """A model's merge without what has no source, and with equal statements made one.

    Args:
        answer: What the model answered.
        known: Ids of the sub-tasks whose results it saw.
    """
    notices: list[Notice] = []
    statements = deduplicated(_sourced(answer.statements, known, notices))
    conflicts: list[Conflict] = []
    for conflict in answer.conflicts:
        sides = deduplicated(_sourced(conflict.sides, known, notices))
        if len(sides) > 1:
            conflicts.append(conflict.model_copy(update={"sides": sides}))
        else:  # what is left is no contradiction, but a statement all the same
            statements = deduplicated([*statements, *sides])
    return Merged(statements=statements, conflicts=tuple(conflicts), notices=tuple(notices))


def _sourced(statements: Iterable[Statement], known: Collection[str], notices: list[Notice]) -> list[Statement]:
    """Statements with the sources that exist; what is dropped is told."""
    kept: list[Statement] = []
    for one in statements:
        sources = tuple(dict.fromkeys(source for source in one.sources if source in known))
        unknown = ", ".join(source for source in one.sources if source not in known) or "nothing"
        if not sources:
            message = f"A statement was dropped: its source is {unknown}, no sub-task: «{one.text[:SHOWN]}»."
            notices.append(Notice(step="merge", code="statement_dropped", message=message))
            continue
        if len(sources) < len(set(one.sources)):
            message = f"A source was dropped: {unknown} is no sub-task: «{one.text[:SHOWN]}»."
            notices.append(Notice(step="merge", code="source_dropped", message=message))
        kept.append(one.model_copy(update={"sources": sources}))
    return kept


def deduplicated(statements: Iterable[Statement]) -> tuple[Statement, ...]:
    """Equal statements as one with the sources of all; letter case, spaces and punctuation aside."""
    first: dict[str, Statement] = {}
    for one in statements:
        key = " ".join(re.findall(r"\w+", one.text.casefold())) or one.text
        seen = first.get(key)
        sources = tuple(dict.fromkeys((*(seen.sources if seen else ()), *one.sources)))
        first[key] = (seen or one).model_copy(update={"sources": sources})
    return tuple(first.values())


def merged_by_rule(given: Iterable[Quoted]) -> Merged:
    """The declared fallback: the results one after the other, each paragraph a statement, equal ones once.

    Nothing is compared: contradictions are not found.
    """
    statements = [
        Statement(text=paragraph.strip(), sources=(one.id,))
        for one in given
        for paragraph in re.split(r"\n\s*\n", one.text)
        if paragraph.strip()
    ]
    return Merged(statements=deduplicated(statements), by="rule")
