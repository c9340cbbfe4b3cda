"""The report of an evaluation as one HTML page that needs nothing else: no script, no font, no address."""

from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path

from blocks.page import document
from blocks.plain_text import INVISIBLE
from tasks.evaluation import plots, told
from tasks.evaluation.evaluation import Evaluation, SystemResult
from tasks.evaluation.measures import BY_NAME
from tasks.evaluation.scores import CaseScore

STYLE = Path(__file__).with_name("page.css")
NO_BREAK = "\u00a0"


def page(evaluation: Evaluation) -> str:
    """The page; everything in it that came from outside is escaped."""
    title = INVISIBLE.sub("", f"Evaluation of {evaluation.dataset}")
    return document(title, f"<main><h1>{_text(title)}</h1>{''.join(_content(evaluation))}</main>", STYLE)


def _content(evaluation: Evaluation) -> Iterator[str]:
    yield f'<p class="soft">{told.counts(evaluation)}; evaluation {evaluation.evaluation_id}</p>'
    yield _verdict(evaluation)
    if evaluation.comparison is not None:
        yield from _section("Side by side", told.COMPARED_HEADS, told.compared_rows(evaluation))
        yield plots.differences(evaluation)
    for role, result in zip(told.ROLES, evaluation.results, strict=False):
        yield from _system(role, result)
    yield from _pictures(evaluation)
    yield from _section("Failed cases", ("system", "case", "error", "way out"), told.failure_rows(evaluation))
    items = ("system", "case", "kind", "item", "field")
    yield from _section("Not in the transcript", items, told.unsupported_rows(evaluation))
    fields = ("system", "case", "field", "score", "compared by", "expected", "found")
    yield from _section("Fields that differ", fields, told.field_rows(evaluation))
    yield from _section("Schema", ("system", "case", "template", "problems"), told.schema_rows(evaluation))
    yield from _section("Rubrics", ("system", "case", "rubric", "verdict", "reason"), told.judged_rows(evaluation))
    for role, result in zip(told.ROLES, evaluation.results, strict=False):
        yield from _words(role, result)
    titles = [BY_NAME[name].title for name in told.case_measures(evaluation)]  # pyright: ignore[reportArgumentType]
    yield from _section("Cases", ("case", *titles), told.case_rows(evaluation))
    yield "<h2>How to read this</h2><ul>"
    yield from (f"<li>{_text(note)}</li>" for note in told.notes(evaluation))
    yield "</ul>"


def _verdict(evaluation: Evaluation) -> str:
    if evaluation.comparison is None:
        return f'<p class="verdict"><b>{_text(told.headline(evaluation))}</b></p>'
    verdict = evaluation.comparison.verdict
    kind = {"better": "good", "worse": "bad"}.get(verdict.outcome, "")
    names = f"{evaluation.results[0].label} against {evaluation.results[1].label}"
    head = _text(f"{verdict.outcome.capitalize()}: {names}")
    return f'<p class="verdict {kind}"><b>{head}</b>{_text(verdict.reason)}.</p>'


def _system(role: str, result: SystemResult) -> Iterator[str]:
    about = "; ".join(filter(None, [*result.engines, told.jobs_line(result.scores)]))
    yield f"<h2>{role.capitalize()}: {_text(result.label)}</h2>"
    yield f'<p class="soft">{_text(about)}</p>' if about else ""
    yield _table(told.TOTAL_HEADS, told.total_rows(result))


def _pictures(evaluation: Evaluation) -> Iterator[str]:
    for name in told.case_measures(evaluation):
        measure = BY_NAME[name]  # pyright: ignore[reportArgumentType]
        if measure.name in ("wer", "field_accuracy") and (picture := plots.cases(evaluation, measure.name)):
            yield f"<h2>{measure.title}, case by case</h2>"
            if evaluation.baseline is not None:
                yield '<p class="key"><span class="one">● candidate</span><span class="two">○ baseline</span></p>'
            yield picture


def _words(role: str, result: SystemResult) -> Iterator[str]:
    wrong = told.worst(result)
    if not wrong:
        return
    yield f"<h2>Where words went wrong: {role}</h2>"
    rows = [
        [reference or "–", hypothesis or "–", str(count)] for reference, hypothesis, count in told.wrong_words(result)
    ]
    yield "<details><summary>most often</summary>" + _table(("said", "heard", "times"), rows) + "</details>"
    yield '<p class="soft small">said and not heard: <del>so</del>; heard and not said: <ins>so</ins></p>'
    yield from (_differences(score) for score in wrong)


def _differences(score: CaseScore) -> str:
    parts: list[str] = []
    for one in score.diff:
        if one.equal:
            parts.append(_text(one.reference))
            continue
        parts += [f"<del>{_text(one.reference)}</del>"] * bool(one.reference)
        parts += [f"<ins>{_text(one.hypothesis)}</ins>"] * bool(one.hypothesis)
    count = 0 if score.words is None else score.words.count
    return f'<p class="words"><b>{_text(score.case)}</b> ({count} errors): {" ".join(parts)}</p>'


def _section(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield f"<h2>{_text(title)}</h2>"
        yield _table(heads, rows[: told.MOST_CASES])
        if len(rows) > told.MOST_CASES:
            yield f"<p>{len(rows) - told.MOST_CASES} more are in evaluation.json.</p>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f'<th scope="col">{_text(name)}</th>' for name in heads)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    kind = {"better": ' class="good"', "worse": ' class="bad"'}.get(text, "")
    return f"<td{kind}>{_text(text.replace(' %', NO_BREAK + '%').replace(' ms', NO_BREAK + 'ms'))}</td>"


def _text(text: str) -> str:
    return escape(INVISIBLE.sub("", text), quote=True)
