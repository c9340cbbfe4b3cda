"""What came of tasks, for people."""

from collections.abc import Iterable

from blocks.iiagent.unpacked import Unpacked
from blocks.markdown import code, fenced
from blocks.plain_text import cut, plain, visible
from tasks.sessions.downloads import SessionFiles
from tasks.sessions.record import TaskRecord
from tasks.sessions.result import AgentResult, Collected

MOST_FILES = 100
MOST_REFUSED = 20
MOST_MEMBERS = 5
"""That are left out of an archive."""

MOST_ANSWER_CHARS = 4000


def result_markdown(result: AgentResult) -> str:
    """A task's result: never the content of files."""
    counted = result.counters
    effort = {
        "reconnects": counted.reconnects,
        "changes of the key": counted.rotations,
        "retries": counted.retries,
        "compactions": counted.compactions,
        "silent stops": counted.silent_stops,
    }
    more = "".join(f", {count} {name}" for name, count in effort.items() if count)
    lines = [
        "# Agent task",
        "",
        f"- **{plain(result.outcome.kind.replace('_', ' '))}**{_given_up(result)}",
        f"- session {_session(result)} on {code(result.server)}",
        f"- {counted.turns} turns ({counted.continues} continues) in {counted.seconds:.1f} s{more}",
        *_ending(result),
    ]
    if counted.tool_calls:
        rows = [f"| {code(plain(tool))} | {count} |" for tool, count in counted.tool_calls.items()]
        lines += ["", "| tool | calls |", "|---|---|", *rows]
    if result.answer:
        lines += ["", "## Answer", "", fenced(cut(visible(result.answer), MOST_ANSWER_CHARS))]
    if result.files is None:
        lines += ["", "No files were collected: the server does not answer. The same command collects them."]
    else:
        lines += ["", *collected_lines(result.files)]
    return "\n".join(lines)


def collected_lines(files: Collected) -> list[str]:
    """Files with their hashes, and what is left out."""
    rows = [
        f"| {code(plain(file.name))}{' (stale)' if file.stale else ''} | {file.size_bytes:,} | `{file.sha256}` |"
        for file in files.files[:MOST_FILES]
    ]
    table = ["", "| file | bytes | sha256 |", "|---|---|---|", *rows] if rows else []
    hidden = [f"and {len(files.files) - MOST_FILES} more"] if len(files.files) > MOST_FILES else []
    left = [f"- {code(cut(one.name, 200))}: {plain(one.why)}" for one in files.refused[:MOST_REFUSED]]
    more = len(files.refused) - len(left) + files.refused_more
    return [
        "## Files",
        "",
        f"{len(files.files)} files, {files.total_bytes:,} bytes, in {code(plain(files.place))}",
        *table,
        *hidden,
        *(["", "Left out:", "", *left, *([f"- and {more} more"] if more else [])] if left else []),
        *(["", "Archives:", "", *map(_unpacked, files.unpacked[:MOST_FILES])] if files.unpacked else []),
    ]


def _unpacked(one: Unpacked) -> str:
    """An archive, and what was unpacked of it."""
    name = code(cut(plain(one.archive), 200))
    if one.failed is not None:
        return f"- {name}: {plain(one.failed.why)}"
    left = [f"{code(cut(member.name, 100))} ({plain(member.why)})" for member in one.refused[:MOST_MEMBERS]]
    more = [f"and {len(one.refused) - len(left)} more"] if len(one.refused) > len(left) else []
    without = f"; left out: {', '.join([*left, *more])}" if left else ""
    return f"- {name}: {len(one.files)} files, {one.total_bytes:,} bytes, in {code(plain(one.folder))}{without}"


def download_markdown(found: SessionFiles) -> str:
    """What was brought of a conversation."""
    session = f"- session {_session(found)} on {code(found.server)}"
    return "\n".join(["# Files of a session", "", session, "", *collected_lines(found.files)])


def progress_rows(record: TaskRecord) -> list[dict[str, str]]:
    """How far a task is, turn by turn."""
    return [
        {
            "turn": str(number),
            "prompt": step.kind,
            "outcome": step.outcome.kind.replace("_", " "),
            "missing": cut(plain(step.outcome.missing), 300),
            "calls": str(sum(step.turn.tool_calls.values())),
            "seconds": f"{step.turn.seconds:.1f}",
        }
        for number, step in enumerate(record.steps, start=1)
    ]


def _given_up(result: AgentResult) -> str:
    return f", given up: {result.stopped_by.replace('_', ' ')}" if result.stopped_by else ""


def _session(result: AgentResult | SessionFiles) -> str:
    return f"[{result.session_id}]({result.ui_url})" if result.ui_url else code(result.session_id)


def _ending(result: AgentResult) -> Iterable[str]:
    outcome = result.outcome
    if outcome.error is not None:
        yield f"- {plain(outcome.error.kind)}: {code(cut(plain(outcome.error.message), 1000))}; {outcome.error.fix}"
    if outcome.question:
        yield f"- the agent asks: {code(cut(plain(outcome.question), 1000))}"
        if outcome.kind == "needs_input":
            yield "- the same again with `--answer` goes on with it"
    if result.stopped_by or outcome.kind == "incomplete":  # also one that was done, and whose checks hold no more
        yield "- the same again with `--again` gives it a new allowance"
    if outcome.missing:
        yield "- missing:"
        yield from (f"  - {code(cut(plain(line.removeprefix('- ')), 500))}" for line in outcome.missing.splitlines())
