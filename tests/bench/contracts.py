"""Milliseconds from 10,000 `Segment` models to the verdict of their contract, the table of them made meanwhile.

Beside it the parts, the same with eight words in each segment, what pandera's own `validate` takes for the same table,
how long faults take to name, and what rows of swarms, batches and books take.
"""

import random
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

from blocks.contracts.broken import ContractBroken
from blocks.contracts.check import check, keeps
from blocks.contracts.registry import contract
from blocks.contracts.transcripts import check_transcript, segment_table, word_table
from blocks.transcript import EngineInfo, Segment, Transcript, Word
from tests.blocks.contracts.clean import MAKERS

NAME = "contracts"
UNIT = "ms from 10,000 segments to the verdict, table building included"
GOAL = 10.0

SEGMENTS = 10_000
WORDS = 8
ROUNDS = {True: 7, False: 31}
OTHER_ROWS = 5_000
OTHERS = ("swarm rows", "swarm answers", "batch rows", "batch answers", "crossing", "calls", "job metrics")


def measure(quick: bool) -> float:
    """Milliseconds, the median; the first round, which loads pandas and pandera, is told apart."""
    plain, spoken = transcript(0), transcript(WORDS)
    begin = time.perf_counter()
    check_transcript(transcript(WORDS, 10))
    print(f"first check of a process, pandas and pandera loaded with it: {1e3 * (time.perf_counter() - begin):.0f} ms")
    segments, words, table = contract("segments"), contract("words"), segment_table(plain)
    spoken_words = word_table(spoken)
    frame = _frame(table)
    broken = {**table, "end_s": table["end_s"] - 100}
    ways: dict[str, Callable[[], object]] = {
        "segments: models to verdict": lambda: check_transcript(plain),
        "segments: table of the models": lambda: segment_table(plain),
        "segments: table to verdict": lambda: keeps(segments, table),
        "segments: the same by pandera's validate": lambda: segments.schema.validate(frame),
        f"with {WORDS * SEGMENTS:,} words: models to verdict": lambda: check_transcript(spoken),
        f"{WORDS * SEGMENTS:,} words: table to verdict": lambda: keeps(words, spoken_words or {}),
        f"naming {2 * SEGMENTS:,} faults": partial(_caught, broken),
    }
    for name in OTHERS:
        ways[f"{OTHER_ROWS:,} {name}"] = partial(check, name, MAKERS[name](random.Random(1), OTHER_ROWS))
    found = {name: _median_ms(way, ROUNDS[quick]) for name, way in ways.items()}
    for name, taken in found.items():
        print(f"{name:45} {taken:8.2f} ms", flush=True)
    return next(iter(found.values()))


def transcript(words: int, segments: int = SEGMENTS) -> Transcript:
    """Two people in turn, with so many words in each segment."""
    chance, made, at = random.Random(1), list[Segment](), 0.0
    for number in range(segments):
        length = chance.uniform(1, 6)
        said = tuple(
            Word(
                start_s=at + length * word / words,
                end_s=at + length * (word + 1) / words,
                text=f"word{word}",
                probability=chance.random(),
            )
            for word in range(words)
        )
        made.append(
            Segment(
                start_s=at,
                end_s=at + length,
                text="what somebody said in a segment of a recording",
                words=said,
                speaker=f"Speaker {1 + number % 2}",
                avg_logprob=-chance.random(),
                no_speech_prob=chance.random(),
            )
        )
        at += length
    engine = EngineInfo(name="x", version="1")
    return Transcript(language="en", segments=tuple(made), engine=engine, duration_s=at)


def _frame(table: Any) -> Any:
    import pandas as pd

    return pd.DataFrame({name: pd.Series(values, dtype=values.dtype) for name, values in table.items()})


def _caught(table: Any) -> None:
    try:
        check("segments", table)
    except ContractBroken:
        return
    raise AssertionError("nothing was found")


def _median_ms(way: Callable[[], object], rounds: int) -> float:
    times: list[float] = []
    for _ in range(rounds):
        begin = time.perf_counter()
        way()
        times.append(time.perf_counter() - begin)
    return 1e3 * median(times)
