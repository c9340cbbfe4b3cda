"""The archives among files that were brought, unpacked beside them: each by itself, and all within the same caps."""

from collections.abc import Iterable, Iterator, Sequence

from pydantic import TypeAdapter, ValidationError

from blocks.errors import BadInput, C500Error, NotFound, StoreFailed, TooLarge
from blocks.iiagent.downloaded import FILES, MOST_MANIFEST_BYTES, PARTS, Record, Refusal
from blocks.iiagent.paths import UnsafeName, placed
from blocks.iiagent.tree import Blocked, Tree
from blocks.iiagent.unzip import UnzipLimits, unzip_within
from blocks.model import Frozen
from blocks.plain_text import cut

UNPACKED, LIST = "unpacked", "unpacked.json"
ENDING = ".zip"


class Unpacked(Frozen):
    """An archive, and what was unpacked of it.

    Attributes:
        archive: Its path below `files`.
        sha256: Of the archive.
        folder: Where its files lie, below the folder of the download.
        files: Their paths below that.
        total_bytes: Of all of them.
        refused: Members that were left out, and why.
        failed: Why nothing was unpacked; None where something was.
        limits: What it was held against.
    """

    archive: str
    sha256: str
    folder: str
    files: tuple[str, ...] = ()
    total_bytes: int = 0
    refused: tuple[Refusal, ...] = ()
    failed: Refusal | None = None
    limits: UnzipLimits = UnzipLimits()


KEPT: TypeAdapter[tuple[Unpacked, ...]] = TypeAdapter(tuple[Unpacked, ...])


def unpack(tree: Tree, records: Iterable[Record], limits: UnzipLimits) -> tuple[Unpacked, ...]:
    """Unpack every archive among the files of a download; one that is as it was is left as it is. Blocks.

    Nothing about an archive ends it: one that is a bomb, or none at all, is told.

    Args:
        tree: The folder of the download, open, for nobody else.
        records: Its files.
        limits: What an archive may hold; bytes and members also of all of them together.

    Raises:
        StoreFailed: it cannot be written, as on a full disk.
    """
    archives = sorted((one for one in records if one.name.lower().endswith(ENDING)), key=lambda one: one.name)
    before = {one.archive: one for one in unpacked_in(tree)}
    folders = {one.name: _folder(one.name) for one in archives}
    done: list[Unpacked] = []
    for record in archives:
        same = before.pop(record.name, None)
        if same is None or not _stands(tree, same, record, limits):
            if same is not None:
                _clear(tree, same)
            same = _one(tree, record, folders, limits, done)
        done.append(same)
    for gone in before.values():
        _clear(tree, gone)
    if archives or before:
        tree.put_bytes(PARTS, LIST, KEPT.dump_json(tuple(done), indent=1))
        tree.remove_folder(PARTS)
    return tuple(done)


def unpacked_in(tree: Tree) -> tuple[Unpacked, ...]:
    """What a folder says that was unpacked in it; nothing where it says that in no way of ours."""
    try:
        found = KEPT.validate_json(tree.read_bytes(LIST, MOST_MANIFEST_BYTES))
    except (NotFound, Blocked, ValidationError):
        return ()
    return tuple(one for one in found if all(map(_is_ours, (one.folder, *one.files))))


def _one(
    tree: Tree, record: Record, folders: dict[str, str], limits: UnzipLimits, done: Sequence[Unpacked]
) -> Unpacked:
    """An archive, unpacked anew."""
    folder = folders[record.name]
    unpacked = Unpacked(archive=record.name, sha256=record.sha256, folder=folder, limits=limits)
    try:
        _apart(record.name, folder, folders)
        found = unzip_within(tree, f"{FILES}/{record.name}", folder, _left(limits, done))
    except StoreFailed:
        raise
    except C500Error as error:
        reason = "large" if isinstance(error, TooLarge) else "refused"
        told = Refusal(name=cut(record.name, 600), reason=reason, why=error.message, fix=error.fix)
        return unpacked.model_copy(update={"failed": told})
    return unpacked.model_copy(
        update={"files": found.files, "total_bytes": found.total_bytes, "refused": found.refused}
    )


def _left(limits: UnzipLimits, done: Sequence[Unpacked]) -> UnzipLimits:
    """What the archives before have left of the caps. Raises `TooLarge` where that is nothing."""
    total = limits.total_bytes - sum(one.total_bytes for one in done)
    members = limits.members - sum(len(one.files) + len(one.refused) for one in done)
    for name, left in (("total_bytes", total), ("members", members)):
        if left <= 0:
            told = f"the archive is not unpacked: those before it have used up {name}"
            raise TooLarge(told, fix=f"raise {name}, if you trust them", field=name)
    return limits.model_copy(update={"total_bytes": total, "members": members})


def _apart(name: str, folder: str, folders: dict[str, str]) -> None:
    """Two archives never write into one folder: `a.zip` may hold the very `b` that `a/b.zip` is unpacked into."""
    for other, its in folders.items():
        if other != name and f"{folder}/".startswith(f"{its}/"):
            raise BadInput(
                f"the archive is not unpacked: its folder would lie within that of {cut(other, 200)}",
                fix="unpack it by hand",
                field="archive",
            )


def _folder(archive: str) -> str:
    """Where an archive is unpacked: under its own name without the ending, where a folder may be called that."""
    stem = archive[: -len(ENDING)]
    return f"{UNPACKED}/{stem if _is_ours(stem) else archive}"


def _stands(tree: Tree, before: Unpacked, record: Record, limits: UnzipLimits) -> bool:
    """Whether an archive, and what was unpacked of it, is as it was."""
    if before.failed is not None or (before.sha256, before.limits) != (record.sha256, limits):
        return False
    sizes = list(_sizes(tree, before))
    return None not in sizes and sum(size or 0 for size in sizes) == before.total_bytes


def _sizes(tree: Tree, one: Unpacked) -> Iterator[int | None]:
    for name in one.files:
        try:
            with tree.read(f"{one.folder}/{name}") as (_, facts):
                yield facts.size_bytes or 0
        except (NotFound, Blocked):
            yield None


def _clear(tree: Tree, before: Unpacked) -> None:
    """Remove what was unpacked of an archive that is another one now, or gone."""
    for name in before.files:
        tree.remove(f"{before.folder}/{name}")


def _is_ours(local: str) -> bool:
    """Whether a path is one that we write."""
    try:
        return placed(local).local == local
    except UnsafeName:
        return False
