"""Whether the rows that went into a swarm came out of it: each line of the output right, and every row there once."""

from typing import TYPE_CHECKING, Any

from blocks.contracts.broken import ContractBroken
from blocks.contracts.check import check
from blocks.contracts.table import CHUNK, in_chunks, numbers, texts, wholes
from blocks.progress import in_thread
from tasks.swarm.journal import Record, records
from tasks.swarm.ledger import Sizes
from tasks.swarm.run import SwarmRun

if TYPE_CHECKING:
    import numpy as np

    from blocks.contracts.table import Columns

    Counts = np.ndarray[Any, np.dtype[np.int64]]

TOKENS = ("prompt", "completion", "cached")

Fields = tuple[Any, ...]
"""What the contracts look at of a line; the answers themselves are not kept in memory."""


async def look_over(run: SwarmRun, before: Sizes) -> None:
    """Hold what a run wrote against the contracts of rows out of a swarm; it is halted with what breaks them.

    Args:
        run: The swarm; its ledger is still open.
        before: Sizes of the ledger's files when it began.
    """
    try:
        await in_thread(check_out, run, before)
    except ContractBroken as error:
        run.halt(error)


def check_out(run: SwarmRun, before: Sizes) -> None:
    """Hold the lines of a run against their contracts, and count whether each row that was due has one. Blocks.

    Raises:
        ContractBroken: naming the lines, or the rows that were dropped or doubled.
    """
    import numpy as np

    places, due = run.ledger.places, np.frombuffer(run.survey.due_rows, np.uint8)
    answered, failed = np.zeros(len(due) + 1, np.int64), np.zeros(len(due) + 1, np.int64)
    for path, since, name, counts in (
        (places.answers, before.answers, "swarm answers", answered),
        (places.failures, before.failures, "swarm failures", failed),
    ):
        lines = (_fields(record) for _, record in records(path, repair=False, since=since))
        for some in in_chunks(lines):
            check(name, _columns(name, some), what=str(path), rows=lambda some=some: [one[1] for one in some])
            _count(counts, some)
    # A row that failed in a shard whose process died may fail again, or be answered, in the one that took its place.
    times_out = answered + np.where(answered == 0, np.minimum(failed, 1), 0)
    is_whole = run.halted is None
    for first in range(0, len(due), CHUNK):
        span = slice(first, first + CHUNK)
        rows = np.arange(first, first + len(due[span]), dtype=np.int64) + 1
        out = times_out[1:][span]
        wanted = due[span].astype(np.int64)
        if not is_whole:  # what was halted leaves rows, and tells how many
            wanted = np.minimum(wanted, out)
        columns = {"row": rows, "times_in": wanted, "times_out": out}
        check("crossing", columns, what=f"rows of {run.job.output}", rows=lambda rows=rows: rows.tolist())


def _count(counts: "Counts", some: list[Fields]) -> None:
    """Count lines by their row; one that the source does not have counts for none, and its line is told."""
    import numpy as np

    rows = np.array([one[1] for one in some], np.int64)
    strange = rows[rows >= len(counts)]
    if len(strange):
        columns = {"row": np.unique(strange), "times_in": np.zeros(0, np.int64), "times_out": np.zeros(0, np.int64)}
        columns |= {name: np.full(len(columns["row"]), at) for name, at in (("times_in", 0), ("times_out", 1))}
        names = columns["row"].tolist()
        check("crossing", columns, what="rows that the source does not have", rows=lambda: names)
    np.add.at(counts, rows, 1)


def _fields(record: Record) -> Fields:
    tokens: dict[str, Any] = record.get("tokens") or {}
    said = ("text" in record) + ("value" in record)
    facts = (record.get(name) for name in ("source", "account", "model", "code", "reason"))
    figures = (record.get(name) for name in ("cost_usd", "attempts", "latency_s", "finish_reason"))
    return (record["key"], record.get("row"), said, *facts, *(tokens.get(name) for name in TOKENS), *figures)


def _columns(name: str, some: list[Fields]) -> "Columns":
    key, row, said, source, account, model, code, reason, *rest = map(list, zip(*some, strict=True))
    prompt, completion, cached, cost_usd, attempts, latency_s, finish_reason = rest
    columns = {
        "key": texts(key),
        "row": wholes(row),
        "prompt_tokens": wholes(prompt),
        "completion_tokens": wholes(completion),
        "cached_tokens": wholes(cached),
        "cost_usd": numbers(cost_usd),
        "attempts": wholes(attempts),
        "latency_s": numbers(latency_s),
    }
    if name == "swarm failures":
        return columns | {"code": texts(code), "reason": texts(reason)}
    who = {"source": texts(source), "account": texts(account), "model": texts(model)}
    return columns | who | {"said": wholes(said), "finish_reason": texts(finish_reason)}
