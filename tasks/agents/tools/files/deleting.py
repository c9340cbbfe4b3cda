"""Tools that delete files of the workspace, and bring back what was deleted or overwritten."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from blocks.action import Touched
from blocks.errors import NotAllowed, NotFound
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.trash import Trash, Trashed
from blocks.workspace import Workspace
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.files.reading import PathName
from tasks.agents.tools.files.writing import versions_of

RestoreId = Annotated[str, StringConstraints(pattern=r"^v?[0-9a-f]{16}$")]


class DeleteFile(Frozen):
    """Arguments of `delete_file`."""

    path: PathName


class RestoreFile(Frozen):
    """Arguments of `restore_file`."""

    restore_id: RestoreId = Field(description="As write_file, edit_file or delete_file gave it")


def _deletes(arguments: DeleteFile, place: Place) -> Touched:
    return Touched(removes=(str(place.workspace.own_path(arguments.path)),))


async def _delete(arguments: DeleteFile, call: Call) -> dict[str, Any]:
    def delete() -> dict[str, Any]:
        workspace, trash = call.place.workspace, call.place.trash
        own = workspace.own_path(arguments.path)
        if not own.is_symlink() and not own.exists():
            # An attempt before this one may have come so far.
            earlier = _trashed_as(trash, workspace, str(own.relative_to(workspace.root)))
            if earlier is not None:
                return {"path": earlier.name, "restore_id": earlier.trash_id, "was": "deleted already"}
        trashed = trash.put(workspace, arguments.path)
        return {
            "path": trashed.name,
            "kind": trashed.kind,
            "files": trashed.files,
            "size_bytes": trashed.size_bytes,
            "restore_id": trashed.trash_id,
        }

    return await in_thread(delete)


def _trashed_as(trash: Trash, workspace: Workspace, name: str) -> Trashed | None:
    ours = (one for one in trash.list() if one.root == str(workspace.root))
    return next((one for one in ours if one.name == name), None)


def _restores(arguments: RestoreFile, place: Place) -> Touched:
    return Touched(writes=(str(place.workspace.root / _restored_name(arguments, place)),))


def _restored_name(arguments: RestoreFile, place: Place) -> str:
    """What would come back. Raises `NotFound`, `NotAllowed`."""
    if arguments.restore_id.startswith("v"):
        found: Any = versions_of(place).read(arguments.restore_id)
    else:
        found = next((one for one in place.trash.list() if one.trash_id == arguments.restore_id), None)
    if found is None:
        raise NotFound(f"there is nothing to restore as {arguments.restore_id}", fix="use the id that a tool gave")
    if Path(found.root) != place.workspace.root:
        raise NotAllowed(f"{arguments.restore_id} is of another workspace", fix="restore what you changed yourself")
    return found.name


async def _restore(arguments: RestoreFile, call: Call) -> dict[str, Any]:
    def restore() -> dict[str, Any]:
        place = call.place
        name = _restored_name(arguments, place)
        if arguments.restore_id.startswith("v"):
            versions_of(place).restore(place.workspace, place.trash, arguments.restore_id)
        else:
            place.trash.restore(arguments.restore_id)
        return {"path": name, "restored": True}

    return await in_thread(restore)


TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="delete_file",
        description="Move a file or a folder of the workspace into the trash; of a link the link alone. It can be "
        "brought back with restore_file.",
        arguments=DeleteFile,
        call=_delete,
        risk="medium",
        reversible=True,
        repeatable=True,
        touches=_deletes,
    ),
    Tool(
        name="restore_file",
        description="Undo a write_file, edit_file or delete_file, by the restore_id that it gave.",
        arguments=RestoreFile,
        call=_restore,
        risk="low",
        reversible=True,
        touches=_restores,
    ),
)
