"""Places in the store: files by the id in their name, records by the names in them, lists of which only rows go."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, cast

from blocks.errors import Conflict, NotFound, StoreFailed
from blocks.store.files import Files
from blocks.subjects.subject import PAGES, Traces
from tasks.personal_data.holder import Content, Holder, Item, World

SWAP_TRIES = 50

Owned = Callable[[Files, Traces, str], bool]
"""Whether a file, by its key, is a subject's."""


def files_holder(name: str, prefix: str, what: str, owned: Owned, *, covers: str = "") -> Holder:
    """Files below a prefix, each somebody's as a whole.

    Args:
        name: Of the holder.
        prefix: What the keys begin with.
        what: What they are.
        owned: Whose a file is.
        covers: The first part of the keys, where it is not that of the prefix.
    """

    def find(world: World, traces: Traces) -> Iterator[Item]:
        files = world.known.files
        for key in files.list(prefix):
            with suppress(NotFound):  # it went while we look
                if owned(files, traces, key):
                    yield Item(holder=name, key=key)

    return Holder(
        name=name,
        place=f"store: `{prefix}`",
        what=what,
        covers=(f"store:{covers or prefix.split('/')[0]}",),
        find=find,
        read=_read,
        erase=lambda world, _traces, item, _name: world.known.files.delete(item.key),
    )


def rows_holder(name: str, prefix: str, what: str, counted: str = "", *, named: bool = False) -> Holder:
    """Files with rows about many: those of a subject go, the others stay; pages that cannot be taken apart go whole.

    A page may have words of a subject without naming them: it goes when the figures beside it, of which it was made,
    name them. Pages go first, as long as the figures tell which.

    Args:
        name: Of the holder.
        prefix: What the keys begin with.
        what: What they are.
        counted: Field of JSON that says how many rows have gone from its lists; empty for none.
        named: Whether they name people; else only work, and a value that is somebody's name is somebody's word.
    """

    def sought(traces: Traces) -> Traces:
        return traces if named else traces.unnamed

    def find(world: World, all_traces: Traces) -> Iterator[Item]:
        files, traces = world.known.files, sought(all_traces)
        rows, others, folders = list[Item](), list[str](), set[str]()
        for key in files.list(prefix):
            with suppress(NotFound):
                left = without(key, files.read_bytes(key), traces, counted)
                if left is KEPT:
                    others += [key] if _is_page(key) else []
                elif _is_page(key):
                    yield Item(holder=name, key=key)
                else:
                    rows.append(Item(holder=name, key=key, part=left is not None))
                    folders.add(_folder(key))
        yield from (Item(holder=name, key=key) for key in others if _folder(key) in folders)
        yield from rows

    return Holder(
        name=name,
        place=f"store: `{prefix}`",
        what=what,
        covers=(f"store:{prefix.split('/')[0]}",),
        find=find,
        read=lambda world, traces, item: _read_rows(world, sought(traces), item),
        erase=lambda world, traces, item, _name: _erase_rows(world, sought(traces), item, counted),
    )


def by_name(depth: int) -> Owned:
    """Whose a file is says its folder or name, counted from 0: that of their work, as others may name theirs alike."""

    def owned(_files: Files, traces: Traces, key: str) -> bool:
        part = _part(key, depth)
        return not {part, part.removesuffix(".json")}.isdisjoint(traces.works)

    return owned


def by_run(depth: int) -> Owned:
    """Whose a file is says what its folder begins with, `RUN-WHAT`."""
    return lambda _files, traces, key: _part(key, depth).rpartition("-")[0] in traces.runs


def by_key(depth: int) -> Owned:
    """Whose a file is says a folder with the id of a gateway key."""
    return lambda _files, traces, key: _part(key, depth) in traces.keys


def _part(key: str, depth: int) -> str:
    parts = key.split("/")
    return parts[depth] if len(parts) > depth else ""


def by_field(*fields: str) -> Owned:
    """Whose a record is say its fields, as `request.requester`."""

    def owned(files: Files, traces: Traces, key: str) -> bool:
        record = _json(files, key)
        return any(_field(record, field.split(".")) in traces.ids for field in fields)

    return owned


def by_record(prefix: str, *fields: str) -> Owned:
    """Whose a file beside records is says the record of its name, `PREFIX/records/NAME.json`."""
    owned = by_field(*fields)

    def beside(files: Files, traces: Traces, key: str) -> bool:
        name = key.rpartition("/")[2].removesuffix(".json")
        record = f"{prefix}/records/{name}.json"
        return files.exists(record) and owned(files, traces, record)

    return beside


def by_content(files: Files, traces: Traces, key: str) -> bool:
    """A file that names the work of a subject is theirs."""
    return traces.unnamed.in_file(files.read_bytes(key))


def by_mark(prefix: str, *fields: str) -> Owned:
    """Whose a mark beside records is, `PREFIX/INDEX/NAME`."""
    beside = by_record(prefix, *fields)
    return lambda files, traces, key: not key.startswith(f"{prefix}/records/") and beside(files, traces, key)


class _Kept:
    """Nothing of a file is about the subject."""


KEPT = _Kept()


def without(key: str, content: bytes, traces: Traces, counted: str = "") -> bytes | _Kept | None:
    """A file without its rows about a subject: `KEPT` where there are none; None where nothing, or no list, is left."""
    if not traces.in_file(content):
        return KEPT
    kind = key.rpartition(".")[2]
    try:
        if kind == "json":
            left = json.dumps(_counted(json.loads(content), traces, counted), ensure_ascii=False, indent=2).encode()
            return None if left == b"null" or traces.in_file(left) else left
        if kind == "jsonl":
            return b"".join(line for line in content.splitlines(keepends=True) if not traces.in_line(line)) or None
        if kind == "csv":
            return _csv_without(content.decode("utf-8-sig"), traces)
    except (ValueError, csv.Error):
        return None
    return None  # a page or a picture, made anew from what is left when its flow runs again


def _counted(record: Any, traces: Traces, counted: str) -> Any:
    """JSON pruned, with how many items of its lists have gone, now and before."""
    pruned = _pruned(record, traces)
    if not counted or not isinstance(pruned, dict):
        return pruned
    before, after = cast("dict[str, Any]", record), cast("dict[str, Any]", pruned)
    gone = sum(len(value) - len(after[name]) for name, value in before.items() if isinstance(after.get(name), list))
    return {**after, counted: before.get(counted, 0) + gone}


def _pruned(value: Any, traces: Traces) -> Any:
    """JSON without the items of its lists that are about a subject; None where it is so itself."""
    if _is_about(value, traces):
        return None
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: _pruned(item, traces) for name, item in fields.items() if name not in traces.ids}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [_pruned(item, traces) for item in items if not _is_row_about(item, traces)]
    return value


def _is_about(value: Any, traces: Traces) -> bool:
    """Whether a text, or a record outside of its lists, names a subject: of lists each item is looked at by itself."""
    if isinstance(value, dict):
        return any(_is_about(item, traces) for item in cast("dict[str, Any]", value).values())
    return isinstance(value, str) and traces.in_values(value)


def _is_row_about(value: Any, traces: Traces) -> bool:
    """The same of an item of a list; a list of texts and numbers is a row of a table."""
    cells = cast("list[Any]", value) if isinstance(value, list) else []
    return _is_about(value, traces) or any(isinstance(one, str) and traces.in_values(one) for one in cells)


def _csv_without(text: str, traces: Traces) -> bytes | None:
    head, *rows = list(csv.reader(io.StringIO(text)))
    left = [row for row in rows if not any(traces.in_values(cell) for cell in row)]
    stream = io.StringIO()
    csv.writer(stream).writerows([head, *left])
    return stream.getvalue().encode("utf-8-sig") if left else None


def _read(world: World, _traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
    yield item.key, world.known.files.open(item.key)


def _is_page(key: str) -> bool:
    return key.endswith(PAGES)


def _folder(key: str) -> str:
    return key.rpartition("/")[0]


def _read_rows(world: World, traces: Traces, item: Item) -> Iterator[tuple[str, Content]]:
    """Only the rows of the subject: the others are of others, and pages are of all of them."""
    if _is_page(item.key):
        return
    content = world.known.files.read_bytes(item.key)
    kind = item.key.rpartition(".")[2]
    if not item.part:
        yield item.key, content
    elif kind == "json":
        yield item.key, json.dumps(list(_taken(json.loads(content), traces)), ensure_ascii=False, indent=2).encode()
    elif kind == "csv":
        head, *rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"))))
        stream = io.StringIO()
        csv.writer(stream).writerows([head, *(row for row in rows if any(traces.in_values(cell) for cell in row))])
        yield item.key, stream.getvalue().encode()
    else:
        yield item.key, b"".join(line for line in content.splitlines(keepends=True) if traces.in_line(line))


def _taken(value: Any, traces: Traces) -> Iterator[Any]:
    """What `_pruned` takes out."""
    if _is_about(value, traces):
        yield value
    elif isinstance(value, dict):
        for name, item in cast("dict[str, Any]", value).items():
            yield from [{name: item}] if name in traces.ids else _taken(item, traces)
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from [item] if _is_row_about(item, traces) else _taken(item, traces)


def _erase_rows(world: World, traces: Traces, item: Item, counted: str) -> None:
    """By compare-and-swap: what others add meanwhile stays."""
    files = world.known.files
    if _is_page(item.key):
        files.delete(item.key)
        return
    for _ in range(SWAP_TRIES):
        found = files.read_version(item.key)
        left = without(item.key, found[0], traces, counted) if found else KEPT
        if found is None or isinstance(left, _Kept):
            return
        if left is None:
            files.delete(item.key)
            return
        with suppress(Conflict):
            files.put_if(item.key, left, found[1])
    raise StoreFailed(f"{item.key} is changed by others all the time", fix="erase again when they have ended")


def _json(files: Files, key: str) -> Any:
    try:
        return json.loads(files.read_bytes(key)) if key.endswith(".json") else None
    except ValueError:
        return None


def _field(record: Any, path: Iterable[str]) -> Any:
    for name in path:
        record = cast("dict[str, Any]", record).get(name) if isinstance(record, dict) else None
    return record if isinstance(record, str) else None
