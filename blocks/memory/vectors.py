"""The vectors of a namespace, held by this process, so that a question is compared with all of them in one product."""

from collections import OrderedDict
from sqlite3 import Connection
from typing import TYPE_CHECKING, Any

from blocks.memory.rows import IS_RECALLED, next_version, set_vector

if TYPE_CHECKING:
    from sqlite3 import Row

    import numpy as np

    Array = np.ndarray[Any, Any]

HELD = 400_000
"""Vectors that a process holds of all namespaces; the namespaces least lately asked are let go of."""

READ_AT_ONCE = 4_096


class Shelf:
    """What of a namespace is recalled, as columns.

    Attributes:
        vectors: Of shape (places, dimensions), float32.
        seqs: Numbers of the rows; 0 where a place is free.
        importance: 1 to 10.
        used_at: Seconds since 1970.
        count: Places in use, free ones among them included.
    """

    def __init__(self, embedder: str, dimensions: int) -> None:
        import numpy as np

        self.embedder = embedder
        self.version: int = -1
        self.epoch: int = -1
        self.count = 0
        self.vectors: Array = np.zeros((0, dimensions), np.float32)
        self.seqs: Array = np.zeros(0, np.int64)
        self.importance: Array = np.zeros(0, np.float32)
        self.used_at: Array = np.zeros(0, np.float64)
        self._places: dict[int, int] = {}
        self._bytes = 4 * dimensions

    def refresh(self, database: Connection, namespace: int) -> None:
        """Take over what changed since the last time.

        Args:
            database: Within a transaction, so that version and rows are of one moment.
            namespace: Its number.
        """
        wanted = "SELECT version, epoch FROM namespaces WHERE namespace = ?"
        row = database.execute(wanted, (namespace,)).fetchone()
        version, epoch = (int(row["version"]), int(row["epoch"])) if row else (0, 0)
        # Rows are gone, and nobody can say any more which; or most places are free.
        if epoch != self.epoch or self.count > 2 * self.size + READ_AT_ONCE:
            self._clear()
        if version != self.version:
            self._read(database, namespace)
        self.version, self.epoch = version, epoch

    @property
    def size(self) -> int:
        """How many memories it holds."""
        return len(self._places)

    def vector_of(self, seq: int) -> "Array | None":
        """The vector of a row; None when it has none here."""
        place = self._places.get(seq)
        return None if place is None else self.vectors[place]

    def _clear(self) -> None:
        self.version, self.count = -1, 0
        self.seqs[:] = 0
        self._places.clear()

    def _read(self, database: Connection, namespace: int) -> None:
        changed = database.execute(
            f"SELECT m.seq, m.importance, m.used_at, v.vector, v.embedder = ? AND {IS_RECALLED} AS held "  # noqa: S608
            "FROM memories m LEFT JOIN vectors v USING (seq) WHERE m.namespace = ? AND m.version > ?",
            (self.embedder, namespace, self.version),
        )
        while rows := changed.fetchmany(READ_AT_ONCE):
            held = [row for row in rows if row["held"] and len(row["vector"]) == self._bytes]
            if held:
                self._put(held)
            for seq in {row["seq"] for row in rows} - {row["seq"] for row in held}:
                if (place := self._places.pop(seq, None)) is not None:
                    self.seqs[place] = 0

    def _put(self, rows: "list[Row]") -> None:
        import numpy as np

        self._make_room(len(rows))
        for row in rows:
            if row["seq"] not in self._places:
                self._places[row["seq"]] = self.count
                self.count += 1
        places = [self._places[row["seq"]] for row in rows]
        self.seqs[places] = [row["seq"] for row in rows]
        self.importance[places] = [row["importance"] for row in rows]
        self.used_at[places] = [row["used_at"] for row in rows]
        self.vectors[places] = np.frombuffer(b"".join(row["vector"] for row in rows), np.float32).reshape(len(rows), -1)

    def _make_room(self, more: int) -> None:
        import numpy as np

        needed, have = self.count + more, len(self.seqs)
        if needed <= have:
            return
        room = max(needed, have + have // 2)
        grown = np.zeros((room, self.vectors.shape[1]), np.float32)
        grown[: self.count] = self.vectors[: self.count]
        self.vectors = grown
        for name in ("seqs", "importance", "used_at"):
            column: Array = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros(room - have, column.dtype)]))


class Shelves:
    """The shelves of the namespaces that were asked lately."""

    def __init__(self) -> None:
        self._shelves: OrderedDict[int, Shelf] = OrderedDict()

    def shelf(self, database: Connection, namespace: int, embedder: str, dimensions: int) -> Shelf:
        """A namespace's shelf, up to date; see `Shelf.refresh`."""
        shelf = self._shelves.pop(namespace, None)
        if shelf is None or (shelf.embedder, shelf.vectors.shape[1]) != (embedder, dimensions):
            shelf = Shelf(embedder, dimensions)
        shelf.refresh(database, namespace)
        self._shelves[namespace] = shelf
        while len(self._shelves) > 1 and sum(one.count for one in self._shelves.values()) > HELD:
            self._shelves.popitem(last=False)
        return shelf


def vector_length(database: Connection, embedder: str) -> int | None:
    """Dimensions of an embedder's vectors; None when there are none."""
    wanted = "SELECT length(vector) / 4 FROM vectors WHERE embedder = ? LIMIT 1"
    row = database.execute(wanted, (embedder,)).fetchone()
    return row[0] if row else None


def without_vector(database: Connection, embedder: str, most: int) -> list[tuple[int, str]]:
    """Numbers and texts of memories that have no vector of this embedder."""
    wanted = (
        "SELECT m.seq, m.text FROM memories m LEFT JOIN vectors v ON v.seq = m.seq AND v.embedder = ? "
        "WHERE v.seq IS NULL AND m.merged_into IS NULL ORDER BY m.seq LIMIT ?"
    )
    return [(row["seq"], row["text"]) for row in database.execute(wanted, (embedder, most))]


def give_vector(database: Connection, seq: int, vector: "Array", embedder: str) -> None:
    """Keep the vector of a memory that had none, or one of another embedder."""
    row = database.execute("SELECT namespace FROM memories WHERE seq = ?", (seq,)).fetchone()
    if row is not None:  # it was not erased meanwhile
        set_vector(database, seq, vector, embedder)
        version = next_version(database, row["namespace"])
        database.execute("UPDATE memories SET version = ? WHERE seq = ?", (version, seq))
