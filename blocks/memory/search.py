"""Searching a namespace by words and by vectors; and finding again what a run was given before."""

import json
from collections.abc import Sequence
from sqlite3 import Connection, Row
from typing import TYPE_CHECKING, Any

from blocks.memory.rank import ROUNDED, SHORTLIST, coverage, nearest, rarity, score, similarity
from blocks.memory.record import Namespace, Recall, Recalled
from blocks.memory.rows import FROM, IS_RECALLED, next_version, records_of, rows_with, term
from blocks.memory.words import topic_words

if TYPE_CHECKING:
    import numpy as np

    from blocks.memory.vectors import Shelf

MOST_WORDS = 12
"""Words of a question that are searched for: the rarest."""

MOST_HITS = 20_000
"""Words are searched for as long as they are in no more memories together: a search costs by what it finds, and what
nearly all have tells nothing. The rarest is always searched for."""


def search(
    database: Connection,
    namespace: int,
    question: str,
    vector: "np.ndarray[Any, Any] | None",
    shelf: "Shelf | None",
    most: int,
    least: float,
    now: float,
) -> Recall:
    """The memories that fit best.

    Args:
        database: Within a transaction.
        namespace: Its number.
        question: What is looked for.
        vector: Of the question; None when there is none.
        shelf: The namespace's vectors; None when the question has none.
        most: How many at most.
        least: Their least similarity.
        now: Seconds since 1970.
    """
    by_vector = {} if shelf is None or vector is None else nearest(shelf, vector, now)
    counts = _counts(database, namespace, question)
    weights = rarity(counts, shelf.size if shelf else _size(database, namespace))
    rows = rows_with(database, list({*by_vector, *_by_words(database, namespace, counts)}))
    alike = [similarity(_cosine(shelf, row["seq"], vector), coverage(row["text"], weights)) for row in rows]
    scores = _scores(rows, alike, now)
    fits = [place for place, near in enumerate(alike) if near >= least]
    best = sorted(fits, key=lambda place: (-scores[place], -rows[place]["seq"]))[:most]  # of equal ones the newest
    records = records_of(database, [rows[place] for place in best])
    found = tuple(
        Recalled(record=record, similarity=alike[place], score=scores[place])
        for place, record in zip(best, records, strict=True)
    )
    return Recall(found=found, searched="text" if vector is None else "vectors and text")


def _scores(rows: Sequence[Row], alike: Sequence[float], now: float) -> list[float]:
    import numpy as np

    importance = np.array([row["importance"] for row in rows], np.float64)
    used_at = np.array([row["used_at"] for row in rows], np.float64)
    return [round(one, 6) for one in score(np.array(alike), importance, used_at, now).tolist()]


def note_use(database: Connection, recall: Recall, now: float) -> None:
    """Count that these memories were used."""
    for one in recall.found:
        row = database.execute(
            "SELECT seq, namespace FROM memories WHERE memory_id = ?", (one.record.memory_id,)
        ).fetchone()
        if row is not None:
            version = next_version(database, row["namespace"])
            used = "UPDATE memories SET accesses = accesses + 1, used_at = max(used_at, ?), version = ? WHERE seq = ?"
            database.execute(used, (now, version, row["seq"]))


def note_recall(database: Connection, run_id: str, call_id: str, recall: Recall, now: float) -> None:
    """Keep what a run was given, without the texts."""
    found = json.dumps([[one.record.memory_id, one.similarity, one.score] for one in recall.found])
    row = (run_id, call_id, recall.searched, found, now)
    database.execute("INSERT INTO recalls VALUES (?, ?, ?, ?, ?)", row)


def recalled_before(database: Connection, namespace: Namespace, run_id: str, call_id: str) -> Recall | None:
    """What the run was given by the same call in an earlier attempt; None when it was not made.

    Of that, what was erased since is gone; what was forgotten or merged since is given again, so that the run goes on
    as it began.
    """
    wanted = "SELECT searched, found FROM recalls WHERE run_id = ? AND call_id = ?"
    row = database.execute(wanted, (run_id, call_id)).fetchone() if run_id else None
    if row is None:
        return None
    found: list[Recalled] = []
    for memory_id, near, ranked in json.loads(row["found"]):
        rows = database.execute(
            f"{FROM} WHERE m.memory_id = ? AND n.agent = ? AND n.user = ?", (memory_id, namespace.agent, namespace.user)
        ).fetchall()
        found += [Recalled(record=one, similarity=near, score=ranked) for one in records_of(database, rows)]
    return Recall(found=tuple(found), searched=row["searched"])


def _size(database: Connection, namespace: int) -> int:
    count = f"SELECT count(*) FROM memories m WHERE m.namespace = ? AND {IS_RECALLED}"  # noqa: S608
    return database.execute(count, (namespace,)).fetchone()[0]


def _counts(database: Connection, namespace: int, question: str) -> dict[str, int]:
    """In how many memories of the namespace each word of the question is."""
    counts: dict[str, int] = {}
    for word in topic_words(question)[: 4 * MOST_WORDS]:
        row = database.execute("SELECT doc FROM memory_terms WHERE term = ?", (term(namespace, word),)).fetchone()
        counts[word] = row["doc"] if row else 0
    return counts


def _by_words(database: Connection, namespace: int, counts: dict[str, int]) -> list[int]:
    """The memories that share the rarest words of the question, best first: numbers of rows."""
    chosen: list[str] = []
    hits = 0
    for word in sorted((word for word, count in counts.items() if count), key=lambda word: (counts[word], word)):
        hits += counts[word]
        if len(chosen) == MOST_WORDS or (chosen and hits > MOST_HITS):
            break
        chosen.append(word)
    if not chosen:
        return []
    match = " OR ".join(f'"{term(namespace, word)}"' for word in chosen)
    wanted = "SELECT rowid FROM memory_words WHERE memory_words MATCH ? ORDER BY rank, rowid DESC LIMIT ?"
    return [row[0] for row in database.execute(wanted, (match, SHORTLIST))]


def _cosine(shelf: "Shelf | None", seq: int, vector: "np.ndarray[Any, Any] | None") -> float | None:
    if shelf is None or vector is None:
        return None
    held = shelf.vector_of(seq)
    return 0.0 if held is None else round(float(held @ vector), ROUNDED)
