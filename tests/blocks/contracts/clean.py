"""Clean tables of every contract, different ones for each seed."""

import itertools
import random
from collections.abc import Callable
from typing import Any

import numpy as np

from blocks.contracts.table import numbers, texts, wholes
from blocks.contracts.transcripts import segment_table, word_table
from blocks.transcript import EngineInfo, Segment, Transcript, Word

Columns = dict[str, Any]

SPEAKERS = (None, "Speaker 1", "Speaker 2")


def transcript(chance: random.Random, segments: int = 40) -> Transcript:
    """People who speak in turn, fall into each other's words and pause, as engines tell it: in steps of 10 ms."""
    made: list[Segment] = []
    ends: dict[str | None, float] = {}
    at = 0.0
    for _ in range(segments):
        speaker = chance.choice(SPEAKERS)
        start_s = round(max(at, ends.get(speaker, 0.0) - 0.02), 2)
        end_s = round(start_s + chance.uniform(0.3, 9), 2)
        words = _words(chance, start_s, end_s)
        made.append(
            Segment(
                start_s=start_s,
                end_s=end_s,
                text=" ".join(word.text for word in words) or "ờ…",
                words=words,
                speaker=speaker,
                avg_logprob=chance.choice((None, -chance.random(), 0.0)),
                no_speech_prob=chance.choice((None, chance.random())),
            )
        )
        ends[speaker] = end_s
        at = start_s + chance.choice((0, 0.5, end_s - start_s, 12))
    length_s = max(one.end_s for one in made) - chance.choice((0, 0.05))
    engine = EngineInfo(name="x", version="1")
    return Transcript(language="vi", segments=tuple(made), engine=engine, duration_s=length_s)


def _words(chance: random.Random, start_s: float, end_s: float) -> tuple[Word, ...]:
    edges = sorted(chance.uniform(start_s, end_s) for _ in range(chance.choice((0, 1, 7, 20)) + 1))
    return tuple(
        Word(
            start_s=max(0.0, begin + chance.choice((0, -0.03))),
            end_s=max(begin, end),
            text=chance.choice(("dạ", "vâng", "12.000₫", "")),
            probability=chance.random(),
        )
        for begin, end in itertools.pairwise(edges)
    )


def _hex(chance: random.Random, digits: int) -> str:
    return f"{chance.getrandbits(4 * digits):0{digits}x}"


def _keys(chance: random.Random, rows: int, form: Callable[[], str]) -> list[str]:
    keys = [form() for _ in range(rows)]
    return [*keys[:-1], f"{keys[0]}-1"]  # two rows are equal


def _swarm_key(chance: random.Random) -> Callable[[], str]:
    question = _hex(chance, 8)
    return lambda: f"{question}.{_hex(chance, 24)}"


def _segments(chance: random.Random) -> Columns:
    return dict(segment_table(transcript(chance)))


def _word_rows(chance: random.Random) -> Columns:
    return dict(word_table(transcript(chance)) or _word_rows(chance))


def _swarm_rows(chance: random.Random, rows: int = 0) -> Columns:
    first, count = chance.choice((1, 5001)), rows or chance.randrange(2, 60)
    numbered = np.arange(first, first + count, dtype=np.int64)
    return {"row": numbered, "counted": numbered.copy(), "key": texts(_keys(chance, count, _swarm_key(chance)))}


def _taken(chance: random.Random, count: int) -> dict[str, Any]:
    def tokens() -> Any:
        return wholes([chance.randrange(10_000) for _ in range(count)])

    return {
        "prompt_tokens": tokens(),
        "completion_tokens": tokens(),
        "cached_tokens": tokens(),
        "cost_usd": numbers([chance.choice((None, 0.0, 0, chance.random())) for _ in range(count)]),
        "attempts": wholes([chance.randrange(5) for _ in range(count)]),
        "latency_s": numbers([round(chance.random() * 60, 3) for _ in range(count)]),
    }


def _swarm_answers(chance: random.Random, rows: int = 0) -> Columns:
    count = rows or chance.randrange(2, 60)
    sources = [chance.choice(("model", "fallback")) for _ in range(count)]
    return {
        "key": texts(_keys(chance, count, _swarm_key(chance))),
        "row": wholes([chance.randrange(1, 10_000) for _ in range(count)]),
        "source": texts(sources),
        "said": wholes([1] * count),
        "account": texts([None if one == "fallback" else "a1" for one in sources]),
        "model": texts([None if one == "fallback" else "m" for one in sources]),
        **_taken(chance, count),
        "finish_reason": texts([chance.choice((None, "stop", "length")) for _ in range(count)]),
    }


def _swarm_failures(chance: random.Random, rows: int = 0) -> Columns:
    count = rows or chance.randrange(2, 60)
    return {
        "key": texts(_keys(chance, count, _swarm_key(chance))),
        "row": wholes([chance.randrange(1, 10_000) for _ in range(count)]),
        "code": texts([chance.choice(("ENGINE_FAILED", "BAD_INPUT")) for _ in range(count)]),
        "reason": texts([chance.choice(("the answer is empty", "")) for _ in range(count)]),
        **_taken(chance, count),
    }


def _batch_rows(chance: random.Random, rows: int = 0) -> Columns:
    count = rows or chance.randrange(2, 60)
    numbered = np.arange(1, 1 + count, dtype=np.int64)
    groups = [chance.choice(("spa", "clinic", "")) for _ in range(count)]
    keys = _keys(chance, count, lambda: _hex(chance, 64))
    return {"row": numbered, "counted": numbered.copy(), "key": texts(keys), "group": texts(groups)}


def _batch_answers(chance: random.Random, rows: int = 0) -> Columns:
    units, before = chance.choice((1, 3, 50)), chance.choice((0, 17))
    count = rows // units or chance.randrange(2, 20)
    numbers_of = sorted(chance.sample(range(before + 1, before + 10 * count), count))
    size = count * units
    return {
        "row": np.repeat(np.array(numbers_of, np.int64), units),
        "row_before": np.full(size, before, np.int64),
        "unit": np.tile(np.arange(units, dtype=np.int64), count),
        "units": np.full(size, units, np.int64),
        "group": texts([chance.choice(("spa", "clinic")) for _ in range(size)]),
    }


def _batch_coverage(chance: random.Random) -> Columns:
    groups = ["spa", "clinic", "hôtel"]
    parts = {name: [chance.randrange(1000) for _ in groups] for name in ("partial", "review", "rejected", "new")}
    answered = [chance.randrange(1000) for _ in groups]
    return {
        "group": texts(groups),
        "rows": wholes([sum(one) for one in zip(answered, *parts.values(), strict=True)]),
        "answered": wholes(answered),
        **{name: wholes(counts) for name, counts in parts.items()},
        "written": wholes([50 * one for one in answered]),
        **{name: wholes([0] * len(groups)) for name in ("missing", "duplicates", "blanks")},
    }


def _crossing(chance: random.Random, rows: int = 0) -> Columns:
    count = rows or chance.randrange(2, 100)
    due = wholes([chance.randrange(2) for _ in range(count)])
    return {"row": np.arange(1, 1 + count, dtype=np.int64), "times_in": due, "times_out": due.copy()}


def _calls(chance: random.Random, rows: int = 0) -> Columns:
    count, at = (rows or chance.randrange(3, 60)), 1.79e9
    moments: list[float] = []
    for _ in range(count):
        at += chance.choice((0.0, 1e-3, 60.0))  # some in one moment
        moments.append(at)
    outcomes = [chance.choice(("ok", "cached", "transient", "cancelled")) for _ in range(count)]
    return {
        "id": wholes(chance.sample(range(1, 10**6), count)),
        "at": numbers(moments),
        "account": texts(["" if one == "cached" else "a1" for one in outcomes]),
        "model": texts(["m"] * count),
        "user": texts([chance.choice(("ann", "bob")) for _ in range(count)]),
        "session": texts([""] * count),
        "job": texts([chance.choice(("", "swarm-1")) for _ in range(count)]),
        "outcome": texts(outcomes),
        **{
            name: wholes([chance.randrange(100) for _ in range(count)])
            for name in ("prompt_tokens", "completion_tokens", "cached_tokens", "cost_units")
        },
        "priced": wholes([chance.randrange(2) for _ in range(count)]),
        "is_estimate": wholes([chance.randrange(2) for _ in range(count)]),
        "latency_ms": numbers([0.0 if one == "cached" else chance.uniform(1, 9000) for one in outcomes]),
    }


def _call_totals(chance: random.Random) -> Columns:
    count = chance.randrange(2, 30)
    made: dict[str, Any] = {
        "day": texts([f"2026-11-{1 + at % 28:02}" for at in range(count)]),
        **{name: texts(["x"] * count) for name in ("account", "model", "user")},
        "outcome": texts(["ok"] * count),
    }
    for name in ("calls", "prompt_tokens", "completion_tokens", "cost_units"):
        made[name] = wholes([chance.randrange(10**12) for _ in range(count)])
        made[f"{name}_counted"] = made[name].copy()
    return made


def _maybe(chance: random.Random, count: int, most: float) -> Any:
    return numbers([chance.choice((None, 0.0, most, chance.uniform(0, most))) for _ in range(count)])


def _job_metrics(chance: random.Random, rows: int = 0) -> Columns:
    count = rows or chance.randrange(3, 60)
    ids = [_hex(chance, 16) for _ in range(count)]
    ids[-1] = ids[0]  # done again later
    kinds = [chance.choice(("audio", "text")) for _ in range(count)]
    return {
        "job_id": texts(ids),
        "finished_at": numbers([1.79e9 + 3600.0 * at for at in range(count)]),
        "kind": texts(kinds),
        "status": texts([chance.choice(("complete", "partial", "no_speech")) for _ in range(count)]),
        **{name: texts([chance.choice((None, name)) for _ in range(count)]) for name in ("engine", "template")},
        "language": texts([chance.choice((None, "vi", "en")) for _ in range(count)]),
        "audio_s": numbers([None if kind == "text" else chance.uniform(0, 9000) for kind in kinds]),
        "processing_s": numbers([chance.uniform(0, 900) for _ in range(count)]),
        "rtf": _maybe(chance, count, 3.0),
        "coverage": _maybe(chance, count, 1.0),
        "confidence": _maybe(chance, count, 1 + 2e-16),
        "edit_rate": _maybe(chance, count, 1.7),
        "tokens": wholes([chance.randrange(10**6) for _ in range(count)]),
        "cost_usd": _maybe(chance, count, 2.0),
    }


def _period_metrics(chance: random.Random) -> Columns:
    count = chance.randrange(2, 30)
    jobs = [chance.randrange(1000) for _ in range(count)]
    return {
        "name": texts([f"2026-W{at:02}" for at in range(count)]),
        "since": numbers([1.79e9 + 604_800 * at for at in range(count)]),
        "until": numbers([1.79e9 + 604_800 * (at + 1) for at in range(count)]),
        "jobs": wholes(jobs),
        "recordings": wholes([chance.randrange(one + 1) for one in jobs]),
        "audio_min": numbers([chance.uniform(0, 1e5) for _ in range(count)]),
        **{name: _maybe(chance, count, 1.0) for name in ("rtf", "coverage", "confidence", "edit_rate")},
        **{name: _maybe(chance, count, 1.0) for name in ("partial_share", "cost_usd", "cost_per_min")},
        "verdict": texts([chance.choice(("", "passed", "warned", "failed")) for _ in range(count)]),
    }


MAKERS: dict[str, Callable[..., Columns]] = {
    "segments": _segments,
    "words": _word_rows,
    "swarm rows": _swarm_rows,
    "swarm answers": _swarm_answers,
    "swarm failures": _swarm_failures,
    "batch rows": _batch_rows,
    "batch answers": _batch_answers,
    "batch coverage": _batch_coverage,
    "crossing": _crossing,
    "calls": _calls,
    "call totals": _call_totals,
    "job metrics": _job_metrics,
    "period metrics": _period_metrics,
}


def clean(name: str, seed: int) -> dict[str, Any]:
    """A clean table of a contract, whose columns may be changed."""
    return {column: values.copy() for column, values in MAKERS[name](random.Random(seed)).items()}


def changed(table: dict[str, Any], column: str, row: int, value: object) -> dict[str, Any]:
    """The table with one cell changed; of another type where the column cannot hold the value."""
    values: Any = table[column]
    if isinstance(value, str) or value is None:
        values = values.astype(object)
    values[row] = value
    return {**table, column: values}
