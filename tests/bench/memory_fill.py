"""A memory with so many records that recall has work to do, written in one go."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from blocks.memory import Memory, Namespace
from blocks.memory.file import MemoryFile
from blocks.memory.lexical import LexicalEmbedder, lexical_vector
from blocks.memory.rows import made_namespace, term
from blocks.memory.words import text_hash
from blocks.redact import Redactor

NAMESPACE = Namespace(agent="bench", user="bench")
VOCABULARY = 6_000
WORDS = 14
AT_ONCE = 5_000
YEAR_S = 365 * 86_400


async def recall_times_s(folder: Path, n: int, questions: int = 100) -> list[float]:
    """Seconds of each of so many recalls from a memory of `n` records, the first of the process left out.

    Args:
        folder: An empty one.
        n: Records of the namespace.
        questions: How many are asked, each once.
    """
    path = folder / "memory.db"
    asked = fill(path, n, questions + 1)
    memory = Memory(path, Redactor())
    taken: list[float] = []
    for question in asked:
        start = time.perf_counter()
        await memory.recall(NAMESPACE, question)
        taken.append(time.perf_counter() - start)
    memory.close()
    return taken[1:]


def fill(path: Path, n: int, questions: int, seed: int = 500) -> list[str]:
    """Write memories of 14 words each, as common as in a language (by Zipf's law), used at some time of the last year.

    Args:
        path: File of the memory; there is none yet.
        n: How many.
        questions: How many are wanted.
        seed: Of the words and times.

    Returns:
        Questions of four words, each of a memory.
    """
    random = np.random.default_rng(seed)
    vocabulary = _vocabulary(random)
    vectors = np.stack([lexical_vector(word) for word in vocabulary])
    commonness = 1 / (np.arange(VOCABULARY) + 10)
    chosen = random.choice(VOCABULARY, size=(n, WORDS), p=commonness / commonness.sum())
    with MemoryFile(path).change() as database:
        namespace = made_namespace(database, NAMESPACE)
        for start in range(0, n, AT_ONCE):
            some = chosen[start : start + AT_ONCE]
            _insert(database, namespace, start, some, vocabulary, vectors, random)
        database.execute("UPDATE namespaces SET version = 1 WHERE namespace = ?", (namespace,))
    asked = random.choice(n, size=questions)
    return [" ".join(vocabulary[word] for word in random.choice(chosen[one], size=4, replace=False)) for one in asked]


def _insert(
    database: Any, namespace: int, start: int, chosen: Any, vocabulary: list[str], vectors: Any, random: Any
) -> None:
    summed = vectors[chosen].sum(axis=1)
    packed = (summed / np.linalg.norm(summed, axis=1, keepdims=True)).astype(np.float32)
    now = time.time()
    rows: list[tuple[Any, ...]] = []
    terms: list[tuple[int, str]] = []
    for number, words in enumerate(chosen, start=start + 1):
        text = " ".join(vocabulary[word] for word in words)
        used = now - float(random.random()) * YEAR_S
        rows.append(
            (number, f"{number:016x}", namespace, text, text_hash(text), int(random.integers(1, 8)), used, used)
        )
        terms.append((number, " ".join(term(namespace, vocabulary[word]) for word in words)))
    database.executemany(
        "INSERT INTO memories (seq, memory_id, namespace, kind, text, text_hash, importance, state, reasons, "
        "created_at, used_at, changed_at, version) VALUES (?, ?, ?, 'fact', ?, ?, ?, 'active', '[]', ?, ?, 0, 1)",
        rows,
    )
    name = LexicalEmbedder().name
    by_number = ((row[0], name, vector.tobytes()) for row, vector in zip(rows, packed, strict=True))
    database.executemany("INSERT INTO vectors VALUES (?, ?, ?)", by_number)
    database.executemany("INSERT INTO memory_words (rowid, words) VALUES (?, ?)", terms)


def _vocabulary(random: Any) -> list[str]:
    """Words of two to four syllables, all different."""
    words: dict[str, None] = {}
    while len(words) < VOCABULARY:
        syllables = random.integers(2, 5)
        letters = [random.choice(list("bcdfghklmnprstvw")) + random.choice(list("aeiou")) for _ in range(syllables)]
        words["".join(letters)] = None
    return list(words)
