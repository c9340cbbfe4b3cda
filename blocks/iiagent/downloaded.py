"""What a download has brought so far: its manifest, and a journal while it goes on."""

import os
from collections.abc import Iterator

from pydantic import Field

from blocks.errors import BadInput, C500Error, NotFound, StoreFailed
from blocks.iiagent.paths import Placed, placed
from blocks.iiagent.tree import Tree
from blocks.model import Frozen
from blocks.plain_text import cut, plain

FILES, PARTS, MANIFEST = "files", ".parts", "manifest.json"
JOURNAL = "journal.jsonl"
MOST_MANIFEST_BYTES = 1 << 26
MOST_REFUSALS = 1000
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Record(Frozen):
    """A file that lies here.

    Attributes:
        name: Its path below `files`.
        remote: Its path in the workspace, as spelled there.
        size_bytes: Length.
        sha256: Of its content, hexadecimal.
        etag: The mark that the server gave it.
        stale: Whether the workspace has it no more, or in a form that was refused.
    """

    name: str
    remote: str
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    etag: str | None = None
    stale: bool = False


class Refusal(Frozen):
    """A file that is not here in its present form.

    Attributes:
        name: As it was named, with what is not printed as escapes.
        reason: For programs: `missing`, `large`, `blocked`, `refused`, or a reason of `UnsafeName`.
        why: In words.
        fix: What to do.
    """

    name: str
    reason: str
    why: str
    fix: str


class Manifest(Frozen):
    """What lies in a folder of downloads.

    Attributes:
        session_id: Whose files they are.
        complete: Whether the latest download came to its end.
        files: All that lie here, sorted.
        refused: What the latest download left out.
        refused_more: So many more were left out.
    """

    session_id: str
    complete: bool
    files: tuple[Record, ...] = ()
    refused: tuple[Refusal, ...] = ()
    refused_more: int = 0


class Downloaded:
    """The records of a folder while a download goes on.

    Args:
        tree: The folder.
        session: Whose files.
        records: Of the files of before, by name.
    """

    def __init__(self, tree: Tree, session: str, records: dict[str, Record]) -> None:
        self._tree, self._session, self._records = tree, session, records
        self.refused: list[Refusal] = []
        self.refused_more = 0

    @classmethod
    def opened(cls, tree: Tree, session: str) -> "Downloaded":
        """What is here, also of a download that was killed, whose rests are removed. Raises `BadInput`."""
        manifest = read_manifest(tree)
        if manifest is not None and manifest.session_id != session:
            raise BadInput(
                f"{tree.name} holds the files of session {manifest.session_id}", fix="name another folder", field="into"
            )
        records = {record.name: record for record in (manifest.files if manifest else ())}
        records |= {record.name: record for record in _journal(tree)}
        here = cls(tree, session, records)
        here._write(complete=False)
        tree.sweep(PARTS)
        return here

    def still(self, place: Placed) -> Record | None:
        """The record of a file, if it lies here as it was brought."""
        record = self._records.get(place.local)
        if record is None or record.remote != place.remote or record.etag is None:
            return None
        return record if self._tree.sha256(f"{FILES}/{place.local}") == record.sha256 else None

    def keep(self, record: Record) -> None:
        """Note that a file is as it was."""
        self._records[record.name] = record.model_copy(update={"stale": False})

    def add(self, record: Record) -> None:
        """Note a file that was put, on the disk at once: a download that is killed goes on behind it."""
        self._records[record.name] = record
        with self._tree.folder([PARTS], make=True) as folder:
            try:
                with os.fdopen(os.open(JOURNAL, APPEND, 0o600, dir_fd=folder), "ab") as stream:
                    stream.write(record.model_dump_json().encode() + b"\n")
            except OSError as error:
                raise StoreFailed(f"{JOURNAL} cannot be written: {error.strerror}", fix="check the disk") from error

    def refuse(self, name: str, reason: str, error: C500Error, local: str | None = None) -> None:
        """Note a file that is left out; a copy of before is stale now."""
        if local in self._records:
            self._records[local] = self._records[local].model_copy(update={"stale": True})
        if len(self.refused) >= MOST_REFUSALS:
            self.refused_more += 1
            return
        shown = cut(plain(name), 600)
        self.refused.append(Refusal(name=shown, reason=reason, why=error.message, fix=error.fix))

    def total_bytes(self, *, without: str | None = None) -> int:
        """Of all files here, but for one."""
        return sum(record.size_bytes for name, record in self._records.items() if name != without)

    def close(self) -> None:
        """Write the manifest of a download that came to its end."""
        self._write(complete=True)
        self._tree.sweep(PARTS)
        self._tree.remove_folder(PARTS)

    def _write(self, *, complete: bool) -> None:
        manifest = Manifest(
            session_id=self._session,
            complete=complete,
            files=tuple(self._records[name] for name in sorted(self._records)),
            refused=tuple(self.refused),
            refused_more=self.refused_more,
        )
        self._tree.put_bytes(PARTS, MANIFEST, manifest.model_dump_json(indent=1).encode())


def read_manifest(tree: Tree) -> Manifest | None:
    """What a folder of downloads says that it holds; None where it says nothing. Raises `BadInput`."""
    try:
        manifest = Manifest.model_validate_json(tree.read_bytes(MANIFEST, MOST_MANIFEST_BYTES))
        for record in manifest.files:
            _own(record)
    except NotFound:
        return None
    except ValueError as error:
        raise BadInput(
            f"{tree.name}/{MANIFEST} is no manifest of a download",
            fix="name another folder, or remove it",
            field="into",
        ) from error
    return manifest


def _journal(tree: Tree) -> Iterator[Record]:
    """Files that a killed download had put; its last line may be torn."""
    try:
        lines = tree.read_bytes(f"{PARTS}/{JOURNAL}", MOST_MANIFEST_BYTES).split(b"\n")
    except NotFound:
        return
    for line in lines[:-1]:
        try:
            yield _own(Record.model_validate_json(line))
        except ValueError:  # pydantic's own is one
            continue


def _own(record: Record) -> Record:
    """The record, if its path is one that we write. Raises `ValueError`."""
    if _safe(record.name) != record.name:
        raise ValueError("a path that no download writes")
    return record


def _safe(name: str) -> str | None:
    try:
        return placed(name).local
    except BadInput:
        return None
