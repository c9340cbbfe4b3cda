"""How far shards in other processes are: the lines of their files counted as they are written."""

import asyncio
from pathlib import Path

import orjson

from tasks.swarm.job import SwarmJob
from tasks.swarm.journal import Record
from tasks.swarm.ledger import places_of
from tasks.swarm.tally import Tally

COUNT_EVERY_S = 1.0
READ_BYTES = 2**20


async def count_parts(job: SwarmJob, parts: int, tally: Tally) -> None:
    """Count the lines of all parts as they are written, until it is cancelled."""
    places = [places_of(job.model_copy(update={"part": part})) for part in range(parts)]
    files = [(one.answers, True) for one in places] + [(one.failures, False) for one in places]
    read = dict.fromkeys((path for path, _ in files), 0)
    ended = False
    while not ended:
        try:
            await asyncio.sleep(COUNT_EVERY_S)
        except asyncio.CancelledError:
            ended = True  # once more, for what was written since
        for path, is_answer in files:
            records, read[path] = added(path, read[path])
            while records:
                for record in records:
                    tally.add(record, is_answer=is_answer)
                records, read[path] = added(path, read[path])


def added(path: Path, offset: int) -> tuple[list[Record], int]:
    """Whole lines of a growing file from an offset on, about a megabyte of them, and the offset behind them.

    There are none where the shard has ended meanwhile: its file is gone, or was written anew, and no line begins there.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return [], offset
    with file:
        file.seek(max(0, offset - 1))
        if offset and file.read(1) != b"\n":
            return [], offset
        chunk = file.read(READ_BYTES)
        whole = chunk[: chunk.rfind(b"\n") + 1] or (chunk + file.readline() if chunk else b"")
    if not whole.endswith(b"\n"):
        return [], offset
    return [orjson.loads(line) for line in whole.splitlines()], offset + len(whole)
