"""The report of an evaluation as one HTML page that needs nothing else: no script, no font, no address."""

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape

from blocks.plain_text import INVISIBLE
from tasks.evaluation import plots, told
from tasks.evaluation.evaluation import Evaluation, SystemResult
from tasks.evaluation.measures import BY_NAME
from tasks.evaluation.scores import CaseScore

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --dim: #5b6675; --line: #d8dee6; --paper: #ffffff; --soft: #f4f6f9;
  --good: #13734a; --bad: #b3261e; --even: #5b6675; --one: #1f5fbf; --two: #c2570c; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --dim: #9aa6b5; --line: #323b47; --paper: #12161c;
  --soft: #1a2028; --good: #58c795; --bad: #ff8a80; --even: #9aa6b5; --one: #7fb0ff; --two: #ffb072; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 1040px; margin: 0 auto; padding: 32px 24px 64px; }
h1 { font-size: 1.7rem; margin: 0 0 4px; } h2 { font-size: 1.2rem; margin: 36px 0 10px; }
.dim, .small { color: var(--dim); } .dim { margin: 0 0 20px; }
.verdict { border-left: 6px solid var(--even); background: var(--soft); padding: 14px 18px; border-radius: 4px; }
.verdict.good { border-color: var(--good); } .verdict.bad { border-color: var(--bad); }
.verdict b { display: block; font-size: 1.15rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; }
th, td { text-align: left; padding: 6px 10px 6px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 600; } td { overflow-wrap: break-word; max-width: 420px; }
td.good, .good { color: var(--good); } td.bad, .bad { color: var(--bad); }
svg { width: 100%; height: auto; } svg text { fill: var(--ink); font: 14px system-ui, sans-serif; }
svg text.small { fill: var(--dim); font-size: 12px; } .zero { stroke: var(--dim); stroke-dasharray: 4 4; }
.grid { stroke: var(--line); } .bar { stroke-width: 5; stroke-linecap: round; opacity: 0.55; }
g.good line { stroke: var(--good); } g.good circle { fill: var(--good); }
g.bad line { stroke: var(--bad); } g.bad circle { fill: var(--bad); }
g.even line { stroke: var(--even); } g.even circle { fill: var(--even); }
.side0 { fill: var(--one); } .side1 { fill: none; stroke: var(--two); stroke-width: 2; }
.key span { margin-right: 20px; } .one { color: var(--one); } .two { color: var(--two); }
.words { margin: 4px 0 14px; overflow-wrap: anywhere; }
del { color: var(--bad); } ins { color: var(--good); text-decoration: none; border-bottom: 2px solid currentColor; }
summary { cursor: pointer; }
"""

NO_BREAK = "\u00a0"
POLICY = "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'"


def page(evaluation: Evaluation) -> str:
    """The page; everything in it that came from outside is escaped."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = escape(POLICY.format(style=digest), quote=True)
    title = f"Evaluation of {_text(evaluation.dataset)}"
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>",
            *_content(evaluation),
            "</main></body></html>\n",
        ]
    )


def _content(evaluation: Evaluation) -> Iterator[str]:
    yield f'<p class="dim">{told.counts(evaluation)}; evaluation {evaluation.evaluation_id}</p>'
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
    yield f'<p class="dim">{_text(about)}</p>' if about else ""
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
    yield '<p class="small">said and not heard: <del>so</del>; heard and not said: <ins>so</ins></p>'
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
