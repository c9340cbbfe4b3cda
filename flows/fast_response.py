"""Replies of a few words before the main answer: to turns of conversations, and how fast a server gives them."""

from typing import TYPE_CHECKING, Any

from prefect import flow
from prefect.runtime import flow_run

from blocks.accounts.open import open_pool
from blocks.errors import EngineFailed
from blocks.progress import in_thread
from blocks.store import open_store
from flows.names import name_of_source
from flows.operating import keep_report, show_markdown
from flows.running import job_run
from tasks.fast_response.asked import LoadOptions, ReplyOptions

if TYPE_CHECKING:
    from tasks.fast_response.reply import Replies
    from tasks.fast_response.report import LoadReport

KEPT = "fast-response"
"""Where reports lie in the store."""


def run_name() -> str:
    """The file, or how many turns were given."""
    turns: Any = flow_run.parameters.get("turns")
    return name_of_source(turns) if isinstance(turns, str) else f"{len(turns or ())} turns"


@flow(name="fast-response", flow_run_name=run_name, persist_result=False)
async def fast_response(turns: str | list[dict[str, Any]], options: ReplyOptions | None = None) -> "Replies":
    """Have a model reply to each turn with 1 to 6 English words that bridge what the child said and the main answer.

    Args:
        turns: Path of a JSONL file, or the turns: `{"id": …, "intent": …, "history": [{"role": …, "content": …}]}`.
        options: How replies are asked for; None for the defaults.

    Returns:
        The replies with their times and faults, in the order of the turns; they lie in the store, too.

    Raises:
        BadInput, NotFound, Unsupported: turns, options or accounts cannot be used; nothing was asked.
    """
    # Within: whoever imports the flows for another one would pay for these forms.
    from tasks.fast_response.page import replies_page
    from tasks.fast_response.reply import reply_to
    from tasks.fast_response.turns import read_turns

    read = await in_thread(read_turns, turns)
    async with job_run(refresh=False), open_pool() as pool:
        replies = await reply_to(pool, read, options or ReplyOptions())
    await keep_report(f"{KEPT}/{flow_run.id}/replies.json", replies)
    await show_markdown(f"fast-response-{flow_run.id}", replies_page(replies))
    return replies


@flow(name="fast-response-load", flow_run_name=run_name, persist_result=False)
async def fast_response_load(
    turns: str | list[dict[str, Any]], load: LoadOptions | None = None, fail_on_miss: bool = True
) -> "LoadReport":
    """Measure how fast replies come, in a closed loop, an open one, or both, and judge it by goals.

    Args:
        turns: As of `fast_response`; asked again from the first where there are fewer than requests.
        load: How it is measured, and what must hold; None for the defaults.
        fail_on_miss: Whether the run fails where a goal is missed; the report is kept before.

    Returns:
        What was found; it lies in the store, too, beside what became of each request.

    Raises:
        BadInput, NotFound, Unsupported: turns, options or accounts cannot be used; nothing was asked.
        EngineUnavailable: no request was answered.
        EngineFailed: a goal is missed.
    """
    from tasks.fast_response.load import measure
    from tasks.fast_response.page import load_page
    from tasks.fast_response.report import calls_lines, report_of
    from tasks.fast_response.turns import read_turns

    read, asked = await in_thread(read_turns, turns), load or LoadOptions()
    async with job_run(refresh=False), open_pool() as pool:
        closed, opened = await measure(pool, read, asked)
    report = await in_thread(report_of, read, asked, closed, opened)
    await keep_report(f"{KEPT}/{flow_run.id}/load.json", report)
    lines = await in_thread(calls_lines, closed, opened)
    await in_thread(open_store().put_bytes, f"{KEPT}/{flow_run.id}/calls.jsonl", lines, "application/x-ndjson")
    await show_markdown(f"fast-response-{flow_run.id}", load_page(report), "; ".join(report.missed))
    if fail_on_miss and not report.ok:
        raise EngineFailed(
            f"goals are missed: {'; '.join(report.missed)}",
            fix="see the report; serve on a faster machine, with shorter prompts, or at a lower rate",
            missed=report.missed,
        )
    return report
