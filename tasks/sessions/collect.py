"""The files of a session, brought here: into a folder, or through one into the store."""

import mimetypes
from collections.abc import Iterable, Sequence
from pathlib import Path

from blocks.errors import BadInput, C500Error, NotFound
from blocks.iiagent.download import DownloadLimits, download
from blocks.iiagent.downloaded import FILES, MANIFEST, MOST_MANIFEST_BYTES, Manifest, Refusal, read_manifest
from blocks.iiagent.named import MOST_LIST_BYTES, listed, names_in
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.state import sessions_folder
from blocks.iiagent.tree import PIECE_BYTES, open_tree
from blocks.iiagent.tree import in_thread as to_the_end
from blocks.iiagent.unpacked import LIST, Unpacked
from blocks.iiagent.unpacked import unpack as unpack_all
from blocks.iiagent.unzip import UnzipLimits
from blocks.iiagent.workspace import Workspace, read_small, workspace_of
from blocks.progress import in_thread
from blocks.store import open_store
from tasks.sessions.result import Collected

PREFIX = "sessions"
"""Of the store."""


async def collect(
    server: AgentServer,
    rest: AgentRest,
    session_id: str,
    *,
    names: Iterable[str] | None = None,
    more: Iterable[str] = (),
    manifest: str | None = None,
    root: str = "",
    into: Path | None = None,
    limits: DownloadLimits | None = None,
    unpack: bool = False,
) -> Collected:
    """Bring the files of a conversation here. No model has a part in it; what was brought before is not sent again.

    Args:
        server: Where.
        rest: Its interface, open.
        session_id: Whose files.
        names: Only these; None: all that the conversation names.
        more: Files besides those.
        manifest: A list of files that the agent wrote, with their hashes.
        root: The workspace's own path, as the server tells it; empty: as its stored events do.
        into: Folder; None: the store.
        limits: What may be brought.
        unpack: Whether archives among them are unpacked beside them.

    Raises:
        Conflict: another process downloads into the folder.
        BadInput: the folder holds the files of another session.
        EngineUnavailable: the server does not answer; what came until then stays.
        StoreFailed: it cannot be written.
    """
    events = await rest.events(session_id) if names is None else []
    named = names_in([stored.event for stored in events]) if names is None else list(names)
    root = root or next((stored.workspace_dir for stored in events if stored.workspace_dir), "")
    hashes: dict[str, str] = {}
    unread: list[Refusal] = []
    if manifest is not None:
        written, hashes, unread = await _listed(workspace_of(server, rest, session_id, root=root), manifest)
        named = [*named, manifest, *written]
    # A mounted workspace would give all that it has, where only some are asked for.
    place = server if names is None else server.model_copy(update={"workspace_mount": None})
    workspace = workspace_of(place, rest, session_id, root=root)
    folder = kept_in(session_id, into)
    brought = await download(workspace, folder, [*more, *named], hashes=hashes, limits=limits)
    caps = (limits or DownloadLimits()).unpack if unpack else None
    found, unpacked = await to_the_end(lambda: _brought(folder, caps))
    where = str(folder) if into is not None else await in_thread(_to_store, folder, session_id, found, unpacked)
    return Collected(
        place=where,
        files=found.files,
        refused=(*unread, *brought.refused),
        refused_more=brought.refused_more,
        total_bytes=brought.total_bytes,
        unpacked=unpacked,
    )


def kept_in(session_id: str, into: Path | None) -> Path:
    """The folder on this machine that the files of a session are brought into."""
    return into if into is not None else sessions_folder() / "downloads" / session_id


async def _listed(workspace: Workspace, manifest: str) -> tuple[list[str], dict[str, str], list[Refusal]]:
    """What an agent's list names; one that cannot be read is told, and stops nothing."""
    try:
        items = listed(await read_small(workspace, manifest, most_bytes=MOST_LIST_BYTES))
    except (NotFound, BadInput) as error:
        return [], {}, [Refusal(name=manifest, reason=_reason(error), why=error.message, fix=error.fix)]
    return [item.name for item in items], {item.name: item.sha256 for item in items if item.sha256}, []


def _reason(error: C500Error) -> str:
    return "missing" if isinstance(error, NotFound) else "no_list"


def _brought(folder: Path, caps: UnzipLimits | None) -> tuple[Manifest, tuple[Unpacked, ...]]:
    """What a folder has, and its archives unpacked where there are caps for that."""
    with open_tree(folder) as tree:
        found = read_manifest(tree)
        if found is None:
            raise NotFound(f"{folder} has no manifest", fix="download again", field="into")
        if caps is None:
            return found, ()
        with tree.alone():
            return found, unpack_all(tree, found.files, caps)


def _to_store(folder: Path, session_id: str, found: Manifest, unpacked: Sequence[Unpacked]) -> str:
    """Put what was brought into the store, the list last: where it is, all is."""
    store = open_store()
    prefix = f"{PREFIX}/{session_id}"
    with open_tree(folder) as tree:
        within = [f"{one.folder}/{name}" for one in unpacked for name in one.files]
        for local in [*(f"{FILES}/{record.name}" for record in found.files), *within]:
            kind = mimetypes.guess_type(local, strict=False)[0] or "application/octet-stream"
            # Through a file of the store's own, which it moves: no link can be slipped in between.
            with tree.read(local) as (stream, _), store.scratch("file") as own:
                with own.open("wb") as copy:
                    while piece := stream.read(PIECE_BYTES):
                        copy.write(piece)
                store.put_file(f"{prefix}/{local}", own, kind)
        if unpacked:
            store.put_bytes(f"{prefix}/{LIST}", tree.read_bytes(LIST, MOST_MANIFEST_BYTES), "application/json")
        store.put_bytes(f"{prefix}/{MANIFEST}", found.model_dump_json(indent=1).encode(), "application/json")
    return store.uri(f"{prefix}/{MANIFEST}").removesuffix(f"/{MANIFEST}")
