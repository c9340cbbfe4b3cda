"""Tools that write files of the workspace; what was there before is kept."""

import difflib
from typing import Any

from pydantic import Field

from blocks.action import Touched
from blocks.errors import BadInput, Conflict, NotFound
from blocks.model import Frozen
from blocks.plain_text import cut
from blocks.progress import in_thread
from blocks.workspace import Workspace
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.files.reading import PathName
from tasks.agents.tools.files.versions import Versions, digest

MOST_CHARS = 1_000_000
DIFF_LINES = 3000
PREVIEW_CHARS = 8000


class WriteFile(Frozen):
    """Arguments of `write_file`."""

    path: PathName
    content: str = Field(max_length=MOST_CHARS, description="All of the file's text")


class EditFile(Frozen):
    """Arguments of `edit_file`."""

    path: PathName
    old: str = Field(
        min_length=1, max_length=100_000, description="Text that stands in the file exactly once, with its blanks"
    )
    new: str = Field(max_length=100_000, description="What stands there instead")


def versions_of(place: Place) -> Versions:
    """Where earlier contents of files are kept."""
    return Versions(place.private / "versions")


def _writes(arguments: WriteFile | EditFile, place: Place) -> Touched:
    path = str(place.workspace.resolve(arguments.path, writing=True))
    if isinstance(arguments, WriteFile):
        return Touched(writes=(path,), size_bytes=len(_encoded(arguments.content)))
    return Touched(reads=(path,), writes=(path,), size_bytes=len(_encoded(arguments.new)))


async def _write(arguments: WriteFile, call: Call) -> dict[str, Any]:
    def write() -> dict[str, Any]:
        versions, workspace, after = versions_of(call.place), call.place.workspace, _encoded(arguments.content)
        before = versions.before(workspace, arguments.path)
        if before == after and versions.known(call.effect_id) is None:
            return {"path": arguments.path, "unchanged": True}
        version = versions.write(workspace, arguments.path, before, after, call.effect_id)
        return {"path": version.name, "size_bytes": len(after), "restore_id": version.version_id}

    return await in_thread(write)


async def _edit(arguments: EditFile, call: Call) -> dict[str, Any]:
    def edit() -> dict[str, Any]:
        versions, workspace = versions_of(call.place), call.place.workspace
        before = _there(versions, workspace, arguments.path)
        if (known := versions.known(call.effect_id)) is not None and digest(before) != known.before:
            if digest(before) != known.after:
                raise Conflict(f"{known.name!r:.200} was changed by others meanwhile", fix="read it again")
            return {"path": known.name, "restore_id": known.version_id}
        after = edited(before, arguments)
        version = versions.write(workspace, arguments.path, before, after, call.effect_id)
        return {"path": version.name, "size_bytes": len(after), "restore_id": version.version_id}

    return await in_thread(edit)


def _there(versions: Versions, workspace: Workspace, path: str) -> bytes:
    before = versions.before(workspace, path)
    if before is None:
        raise NotFound(f"there is no {path!r:.200}", fix="list the folder, or make the file with write_file", path=path)
    return before


def edited(before: bytes, arguments: EditFile) -> bytes:
    """The file with the new text. Raises `BadInput` where the old one is not there once."""
    if b"\0" in before:
        raise BadInput(f"{arguments.path!r:.200} is no text", fix="change it with run_command", field="path")
    old, new = _encoded(arguments.old), _encoded(arguments.new)
    if old not in before and b"\r\n" in before:  # models write line feeds
        old, new = (text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n") for text in (old, new))
    at = before.find(old)
    if at < 0:
        raise BadInput(
            f"the old text is not in {arguments.path!r:.200}",
            fix="read the file again, and copy the text with all its blanks and line ends",
            field="old",
        )
    if before.find(old, at + 1) >= 0:
        raise BadInput(
            f"the old text is in {arguments.path!r:.200} more than once",
            fix="give more of the lines around it, so that it is there once",
            field="old",
        )
    if old == new:
        raise BadInput("the old and the new text are the same", fix="give what is to stand there", field="new")
    return before[:at] + new + before[at + len(old) :]


def _encoded(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise BadInput("the text holds half a character", fix="leave it out", field="content") from None


async def _preview_write(arguments: WriteFile, call: Call) -> str:
    def preview() -> str:
        before = versions_of(call.place).before(call.place.workspace, arguments.path)
        return _difference(arguments.path, before or b"", _encoded(arguments.content))

    return await in_thread(preview)


async def _preview_edit(arguments: EditFile, call: Call) -> str:
    def preview() -> str:
        before = _there(versions_of(call.place), call.place.workspace, arguments.path)
        return _difference(arguments.path, before, edited(before, arguments))

    return await in_thread(preview)


def _difference(path: str, before: bytes, after: bytes) -> str:
    old, new = (content.decode("utf-8", "replace").splitlines(keepends=True) for content in (before, after))
    if len(old) + len(new) > DIFF_LINES:  # comparing takes quadratic time
        return f"{path}: {len(before)} bytes in {len(old)} lines become {len(after)} bytes in {len(new)} lines"
    return cut("".join(difflib.unified_diff(old, new, f"a/{path}", f"b/{path}")), PREVIEW_CHARS)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="write_file",
        description="Write a text file of the workspace whole; folders are made. To change a part of a file, use "
        "edit_file. What was there before can be brought back with restore_file.",
        arguments=WriteFile,
        call=_write,
        risk="medium",
        reversible=True,
        repeatable=True,
        touches=_writes,
        preview=_preview_write,
    ),
    Tool(
        name="edit_file",
        description="Replace a text that stands exactly once in a file of the workspace. Read the file before.",
        arguments=EditFile,
        call=_edit,
        risk="medium",
        reversible=True,
        repeatable=True,
        touches=_writes,
        preview=_preview_edit,
    ),
)
