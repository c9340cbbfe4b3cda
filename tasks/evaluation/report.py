"""The report of an evaluation in Markdown."""

from collections.abc import Iterable, Iterator, Sequence

from blocks.plain_text import plain
from tasks.evaluation import told
from tasks.evaluation.evaluation import Evaluation, SystemResult

SPECIAL = str.maketrans({**{char: f"\\{char}" for char in "\\`*_{}[]>#|~!"}, "<": "&lt;"})


def markdown(evaluation: Evaluation) -> str:
    """The report; texts from outside are escaped."""
    return "\n".join(_lines(evaluation)) + "\n"


def _lines(evaluation: Evaluation) -> Iterator[str]:
    yield f"# Evaluation of {_text(evaluation.dataset)}"
    yield ""
    yield f"**{_text(told.headline(evaluation))}**"
    yield ""
    yield f"{told.counts(evaluation)}."
    yield ""
    if evaluation.comparison is not None:
        yield from _section("Side by side", told.COMPARED_HEADS, told.compared_rows(evaluation))
    for role, result in zip(told.ROLES, evaluation.results, strict=False):
        yield from _system(role, result)
    yield from _section("Failed cases", ("system", "case", "error", "way out"), told.failure_rows(evaluation))
    yield from _section(
        "Not in the transcript", ("system", "case", "kind", "item", "field"), told.unsupported_rows(evaluation)
    )
    fields = ("system", "case", "field", "score", "compared by", "expected", "found")
    yield from _section("Fields that differ", fields, told.field_rows(evaluation))
    yield from _section("Schema", ("system", "case", "template", "problems"), told.schema_rows(evaluation))
    yield from _section("Rubrics", ("system", "case", "rubric", "verdict", "reason"), told.judged_rows(evaluation))
    yield from _section("Cases", ("case", *told.case_measures(evaluation)), told.case_rows(evaluation))
    yield "## How to read this"
    yield ""
    yield from (f"- {_text(note)}" for note in told.notes(evaluation))


def _system(role: str, result: SystemResult) -> Iterator[str]:
    yield f"## {role.capitalize()}: {_text(result.label)}"
    yield ""
    about = [*result.engines, told.jobs_line(result.scores)]
    if shown := "; ".join(filter(None, about)):
        yield _text(shown)
        yield ""
    yield from _table(told.TOTAL_HEADS, told.total_rows(result))


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"## {title}"
        yield ""
        yield from _table(heads, rows[: told.MOST_CASES])
        if len(rows) > told.MOST_CASES:
            yield f"{len(rows) - told.MOST_CASES} more are in evaluation.json."
            yield ""


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    yield from (f"| {' | '.join(map(_text, row))} |" for row in rows)
    yield ""


def _text(text: str) -> str:
    """A text from outside: nothing in it is Markdown."""
    return plain(" ".join(text.split())).translate(SPECIAL)
