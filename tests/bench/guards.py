"""What guardrails cost: sandbox start, audit append (one and four writers), recall of 100,000 memories."""

import asyncio
import multiprocessing
import random
import re
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from blocks.audit import AuditLog, Entry, open_key
from blocks.errors import Unsupported
from blocks.memory import Memory, Namespace, Origin
from blocks.redact import Redactor
from blocks.sandbox import open_sandbox

NAME = "guards"
UNIT = "x of the goals sandbox 50 ms, append 10 ms, recall 100 ms (p50)"
GOAL = 1.0

SANDBOX_S, APPEND_S, RECALL_S = 0.05, 0.01, 0.1

BATCH = 1000
WORDS = re.findall(
    r"\w+",
    "pump valve ledger harbour winter copper orchard signal lantern granite meadow cipher anchor basil comet "
    "dune ember fjord glacier hollow island jasper kettle lichen marble nectar opal river saddle timber umbra "
    "violet willow xenon backup restart deploy rollback quota alert disk memory queue worker token invoice "
    "customer release branch",
)


def missing() -> str | None:
    """What is needed and not here."""
    try:
        open_sandbox("bubblewrap")
    except Unsupported as error:
        return error.message
    return None


def measure(quick: bool) -> float:
    """The worst of the three medians over its goal."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        sandbox_s = asyncio.run(_sandbox(place, 20 if quick else 200))
        append_s = _append(place / "single", 100 if quick else 1000)
        crowd_s = _crowd(place / "crowd", 4, 50 if quick else 500)
        recall_s = asyncio.run(_recall(place, 10_000 if quick else 100_000, 20 if quick else 200))
    for name, taken_s in (
        ("sandbox start (`true`)", sandbox_s),
        ("audit append, one writer", append_s),
        ("audit append, four writers", crowd_s),
        ("memory recall", recall_s),
    ):
        print(f"{name:28} p50 {1000 * _p50(taken_s):7.2f} ms, p99 {1000 * _p99(taken_s):7.2f} ms, {len(taken_s)} times")
    return max(_p50(sandbox_s) / SANDBOX_S, _p50(append_s) / APPEND_S, _p50(recall_s) / RECALL_S)


async def _sandbox(place: Path, times: int) -> list[float]:
    sandbox, workspace = open_sandbox("bubblewrap"), place / "workspace"
    workspace.mkdir()
    taken_s: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        done = await sandbox.run(["true"], workspace=workspace)
        taken_s.append(time.perf_counter() - start)
        if done.exit_code:
            raise RuntimeError(done.stderr)
    return taken_s


def _append(place: Path, times: int, writer: int = 0) -> list[float]:
    log = AuditLog(place / "audit", open_key(place / "key"), Redactor())
    return [_timed(lambda number=number: log.append(_entry(writer, number))) for number in range(times)]


def _crowd(place: Path, writers: int, times: int) -> list[float]:
    context = multiprocessing.get_context("spawn")
    told: Queue[list[float]] = context.Queue()
    processes = [context.Process(target=_write, args=(told, place, times, number)) for number in range(writers)]
    for process in processes:
        process.start()
    taken_s = [taken for _ in processes for taken in told.get()]
    for process in processes:
        process.join()
    return taken_s


def _write(told: "Queue[list[float]]", place: Path, times: int, writer: int) -> None:
    told.put(_append(place, times, writer))


def _entry(writer: int, number: int) -> Entry:
    return Entry(
        entry_id=f"{number}",
        run_id=f"run-{writer}",
        call_id=f"call-{number}",
        agent="bench",
        user="ann",
        phase="decided",
        tool="write_file",
        arguments={"path": f"notes/{number}.txt", "content": "What was found is written down here. " * 5},
        decision="allow",
        rule="workspace-writes",
        policy_version="0" * 64,
        risk="low",
        reasoning="The goal asks for a report, so that the next step is to write it.",
    )


async def _recall(place: Path, records: int, times: int) -> list[float]:
    from blocks.memory.write import Draft, write

    memory, namespace, chance = (
        Memory(place / "memory.db", Redactor()),
        Namespace(agent="bench", user="ann"),
        random.Random(1),
    )

    def text() -> str:
        return f"{' '.join(chance.choices(WORDS, k=12))} {chance.randrange(10**6)}."

    for first in range(0, records, BATCH):
        texts = [text() for _ in range(BATCH)]
        vectors = [await memory._vector(one) for one in texts]  # pyright: ignore[reportPrivateUsage]

        def fill(database: Any, first: int = first, texts: Sequence[str] = texts, vectors: Any = vectors) -> None:
            for number, (one, vector) in enumerate(zip(texts, vectors, strict=True), start=first):
                origin = Origin(run_id="fill", call_id=str(number), tool="remember")
                draft = Draft(namespace=namespace, text=one, kind="fact", importance=5, origin=origin, by=None)
                write(database, draft, vector, memory._embedder.name, 10 * records, time.time())  # pyright: ignore[reportPrivateUsage]

        await memory._changing(fill)  # pyright: ignore[reportPrivateUsage]
    taken_s: list[float] = []
    for number in range(times + 1):
        start = time.perf_counter()
        found = await memory.recall(namespace, text(), most=6, run_id="bench", call_id=str(number))
        taken_s.append(time.perf_counter() - start)
        if not found.found:
            raise RuntimeError("nothing was found")
    memory.close()
    print(f"memory: {records} records; the first recall, which loads the vectors, took {taken_s[0]:.2f} s")
    return taken_s[1:]


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _p50(times_s: Sequence[float]) -> float:
    return statistics.median(times_s)


def _p99(times_s: Sequence[float]) -> float:
    return sorted(times_s)[min(len(times_s) - 1, int(0.99 * len(times_s)))]
