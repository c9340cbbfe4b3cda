"""The report of a batch in words and tables, for people."""

from collections.abc import Iterable

from blocks.markdown import code
from blocks.plain_text import plain
from tasks.batch_prompts.report import BatchPromptsReport


def report_markdown(report: BatchPromptsReport) -> str:
    """The report for people."""
    sections = [_head(report), _table(report), *_left_over(report), *_expected(report), *_agreed(report)]
    return "\n\n".join(filter(None, sections)) + "\n"


def _head(report: BatchPromptsReport) -> str:
    lines = [f"# {plain(report.name)}: {_what(report)}", ""]
    if report.halted:
        lines += [f"**It ended early:** {code(plain(report.halted))}", ""]
    done = sum(one.answered for one in report.groups)
    written = sum(one.written for one in report.groups)
    lines.append(f"- {done:,} of {report.rows:,} rows are answered, {written:,} output rows in {code(report.output)}")
    if not report.dry_run:
        rate = 60 * report.answered / report.seconds if report.seconds else 0.0
        lines.append(
            f"- {report.questions:,} questions in this run, {report.repairs:,} of them repairs;"
            f" {report.answered:,} rows in {report.seconds:.1f} s ({rate:,.0f} a minute), ${report.cost_usd:.6f}"
        )
    if report.from_people:
        lines.append(f"- {report.from_people:,} rows were answered by people")
    missing, doubled, blank = report.faults
    if any(report.faults) and not report.dry_run:  # which leaves the file of the run before
        lines.append(f"- **a fault of ours:** the file lacks {missing}, doubles {doubled}, and has {blank} blank cells")
    return "\n".join(lines)


def _what(report: BatchPromptsReport) -> str:
    if report.dry_run:
        return "rehearsed"
    if report.pilot and report.left:
        return "a pilot"
    return "complete" if report.is_complete else "not complete"


def _table(report: BatchPromptsReport) -> str:
    lines = [
        "| group | rows | answered | left | review | rejected | output rows | expected | asked | cost |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for one in report.groups:
        cells: Iterable[object] = (
            *(one.rows, one.answered, one.left, one.review, one.rejected),
            *(one.written, one.expected, one.attempts),
            f"${one.cost_usd:.6f}" if not one.unpriced else f"${one.cost_usd:.6f} and unknown",
        )
        lines.append(f"| {_cell(one.group)} | {' | '.join(map(str, cells))} |")
    return "\n".join(lines)


def _cell(text: str) -> str:
    return code(plain(text)).replace("|", "\\|")


def _left_over(report: BatchPromptsReport) -> list[str]:
    sections: list[str] = []
    if report.dead_rows:
        named = [f"- row {one.row}: {code(plain(one.group) or '(blank)')}" for one in report.dead]
        more = [f"- and {report.dead_rows - len(named)} more"] if report.dead_rows > len(named) else []
        sections.append("\n".join([f"## {report.dead_rows:,} rows of no known group", "", *named, *more]))
    if report.failed:
        named = [
            f"- row {one.row}: {code(plain(one.reason))}" + (f" (review `{one.review}`)" if one.review else "")
            for one in report.failed
        ]
        sections.append("\n".join(["## Rows for people to look at", "", *named]))
    return sections


def _expected(report: BatchPromptsReport) -> list[str]:
    one = report.estimate
    if one is None:
        return []
    cost = "at unknown cost" if one.cost_usd is None else f"${one.cost_usd:.4f}{'' if one.measured else ' at most'}"
    how = "as the pilot went" if one.measured else "by the prompts and the longest answers allowed"
    lines = [
        f"## What is left\n\n- {one.rows:,} rows, about {one.questions:,} questions, {how}\n- {cost};"
        f" {one.prompt_tokens:,} tokens to send, {one.output_tokens:,} to be answered\n"
        f"- about {one.seconds:,.0f} s; {one.binds} binds ({one.permitted:,})"
    ]
    if one.usd_left is not None:
        enough = {True: "enough", False: "**NOT enough** for what this may cost", None: "and an unknown cost"}
        lines.append(f"- ${one.usd_left:.4f} of the budget left: {enough[one.budget_suffices]}")
    if not one.longest_fits:
        told = "fits **NO** model, or no account's limit of tokens; make `chunk_size` or the template smaller"
        lines.append(f"- the longest prompt has about {one.longest_tokens:,} tokens and {told}")
    return ["\n".join(lines)]


def _agreed(report: BatchPromptsReport) -> list[str]:
    if not report.agreement:
        return []
    lines = [
        "## The same chunk asked twice",
        "",
        "| group | output rows | in both | the same | by column |",
        "|---|---|---|---|---|",
    ]
    for one in report.agreement:
        columns = ", ".join(f"{plain(name)} {share:.0%}" for name, share in one.columns.items())
        lines.append(f"| {_cell(one.group)} | {one.wanted} | {one.complete:.0%} | {one.same:.0%} | {columns} |")
    return ["\n".join(lines)]
