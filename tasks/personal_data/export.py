"""All that is kept about a subject in one archive: plain files, and an index with a hash of each."""

import hashlib
import io
import json
import os
import re
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path, PurePosixPath

from pydantic import AwareDatetime

from blocks.errors import BadInput, Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.redact import Redactor
from blocks.subjects.subject import Subject
from blocks.subjects.trace import trace
from blocks.whole_file import sync_folder
from tasks.personal_data.holder import Content, World
from tasks.personal_data.inventory import holders

INDEX = "index.json"
CHUNK_BYTES = 1 << 20
HOSTILE = re.compile(r"[\x00-\x1f\x7f\\:]")
"""Other systems take these in a name for more than a name."""

LONGEST_TEXT = 64 << 20
"""Bytes of a text within which secrets are looked for; a longer one is refused rather than exported unread."""

BINARY = frozenset((".wav", ".mp3", ".m4a", ".flac", ".ogg", ".opus", ".mp4", ".webm", ".png", ".gz", ".zip", ".pdf"))


class Exported(Frozen):
    """A file of an export.

    Attributes:
        path: In the archive.
        holder: Name of its place.
        place: Where that is.
        sha256: Of the content, as it is in the archive.
        size_bytes: Its length.
        redacted: Whether secrets were taken out.
    """

    path: str
    holder: str
    place: str
    sha256: str
    size_bytes: int
    redacted: bool = False


class Export(Frozen):
    """What is in an export; its `index.json`.

    Attributes:
        subject: Whose data it is.
        made_at: When.
        files: What it holds.
        shared: Jobs that others have asked for, too, which are not in it.
        not_exported: Places that are not in it, and why.
    """

    subject: Subject
    made_at: AwareDatetime
    files: tuple[Exported, ...]
    shared: tuple[str, ...] = ()
    not_exported: dict[str, str]


def export(world: World, subject: Subject, output: Path, redactor: Redactor) -> Export:
    """Write all that is kept about a subject into a ZIP file, which appears whole or not at all.

    Args:
        world: All places.
        subject: Whose data.
        output: Path of the archive; its folder must exist, and it must not.
        redactor: Takes secrets out of texts.

    Raises:
        Conflict: there is such a file.
        BadInput: there is no such folder.
        StoreFailed: it cannot be written.
    """
    output = checked_output(output)
    temporary = output.with_name(f".{output.name}.{uuid.uuid4().hex}")
    try:
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
                made = _written(world, subject, archive, redactor)
            stream.flush()
            os.fsync(stream.fileno())
        os.link(temporary, output)  # unlike a rename it replaces nothing
        sync_folder(output.parent)
    except FileExistsError as error:
        raise Conflict("the archive exists", fix="name another file", field="output") from error
    except OSError as error:  # told without the path, which may name whose data it is, and stands in the audit then
        raise StoreFailed(f"the archive cannot be written: {error.strerror}", fix="make room there") from error
    finally:
        temporary.unlink(missing_ok=True)
    return made


def checked_output(output: Path) -> Path:
    """Where an archive may be written. Raises `Conflict`, `BadInput`."""
    output = output.expanduser().absolute()
    if output.exists():
        raise Conflict(f"{output} exists", fix="name another file", field="output")
    if not output.parent.is_dir():
        raise BadInput(f"there is no folder {output.parent}", fix="make it, or name another", field="output")
    return output


def check_export(archive: Path) -> Export:
    """The index of an export, whose files are as it says. Raises `StoreFailed`."""
    with zipfile.ZipFile(archive) as opened:
        made = Export.model_validate_json(opened.read(INDEX))
        names = {one.path for one in made.files}
        wrong = set(opened.namelist()) ^ {INDEX, *names}
        for one in made.files:
            digest = hashlib.sha256()
            with opened.open(one.path) as stream:
                while piece := stream.read(CHUNK_BYTES):
                    digest.update(piece)
            wrong |= {one.path} if digest.hexdigest() != one.sha256 else set()
    if wrong:
        raise StoreFailed(f"{archive} is not as its index says: {min(wrong)}", fix="export again")
    return made


def _written(world: World, subject: Subject, archive: zipfile.ZipFile, redactor: Redactor) -> Export:
    traces = trace(subject, world.known)
    files: list[Exported] = []
    names: set[str] = set()
    for holder in holders():
        if holder.exported is not True:
            continue
        for item in holder.find(world, traces):
            for name, content in _read(holder.read(world, traces, item)):
                path = _free(f"{holder.name.replace(' ', '-')}/{name}", names)
                files.append(_put(archive, path, content, redactor, holder.name, holder.place))
    made = Export(
        subject=subject,
        made_at=datetime.now(UTC),
        files=tuple(files),
        shared=traces.shared,
        not_exported={one.name: str(one.exported) for one in holders() if one.exported is not True},
    )
    archive.writestr(_info(INDEX), made.model_dump_json(indent=1))
    return made


def _read(contents: Iterator[tuple[str, Content]]) -> Iterator[tuple[str, Content]]:
    """Contents; one that goes while it is read, as by a cleanup, is left out."""
    try:
        yield from contents
    except (NotFound, FileNotFoundError):
        return


def _put(
    archive: zipfile.ZipFile, path: str, content: Content, redactor: Redactor, holder: str, place: str
) -> Exported:
    digest, size, redacted, head = hashlib.sha256(), 0, False, b""
    with ExitStack() as opened:
        stream = io.BytesIO(content) if isinstance(content, bytes) else content
        opened.callback(stream.close)
        if not _is_binary(path):
            head = stream.read(LONGEST_TEXT + 1)
            if len(head) <= LONGEST_TEXT:
                clean = _clean(head, redactor)
                redacted, head = clean != head, clean
            elif b"\0" not in head[:CHUNK_BYTES]:  # else no text, whatever its name says
                raise StoreFailed(f"{path} is too long a text", fix="tell where it comes from; nothing was exported")
        with archive.open(_info(path), "w", force_zip64=True) as target:
            for piece in chain([head], iter(lambda: stream.read(CHUNK_BYTES), b"")):
                digest.update(piece)
                size += len(piece)
                target.write(piece)
    return Exported(
        path=path, holder=holder, place=place, sha256=digest.hexdigest(), size_bytes=size, redacted=redacted
    )


def _clean(content: bytes, redactor: Redactor) -> bytes:
    """A text without its secrets; JSON stays JSON. What is no text stays as it is."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        return content
    if not redactor.found(text):
        return content
    try:
        return json.dumps(redactor.value(json.loads(text)), ensure_ascii=False, indent=1).encode()
    except ValueError:
        return redactor.text(text).encode()


def _is_binary(path: str) -> bool:
    return PurePosixPath(path).suffix.lower() in BINARY or PurePosixPath(path).name == "source"


def _free(path: str, names: set[str]) -> str:
    """A path that no other file of the archive has, and that leads nowhere else, wherever it is unpacked."""
    parts = [HOSTILE.sub("_", part) for part in path.split("/") if part not in ("", ".", "..")]
    free = "/".join(parts)
    number = 1
    while free in names:
        number += 1
        free = f"{'/'.join(parts)}~{number}"
    names.add(free)
    return free


def _info(path: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
    info.compress_type = zipfile.ZIP_STORED if _is_binary(path) else zipfile.ZIP_DEFLATED
    info.external_attr = 0o600 << 16
    return info
