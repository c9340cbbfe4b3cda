"""What is in a session's workspace: held against the checks of a task, and as a fingerprint of its progress."""

from collections.abc import Iterable

from blocks.content import content_hash
from blocks.iiagent.checks import Proven, prove
from blocks.iiagent.files_exist import WILD, FilesExist
from blocks.iiagent.named import names_in
from blocks.iiagent.paths import UnsafeName, placed
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.workspace import Workspace
from tasks.sessions.record import TaskRecord
from tasks.sessions.task import AgentTask

MOST_LOOKED_AT = 200
"""Files of which a fingerprint is made, the latest."""


async def proven(task: AgentTask, workspace: Workspace, answer: str) -> Proven | None:
    """What the checks of a task find; None where it has none. Raises `EngineUnavailable`."""
    return await prove(task.checks, workspace, answer) if task.checks else None


async def known_names(task: AgentTask, record: TaskRecord, rest: AgentRest, session_id: str, root: str) -> list[str]:
    """Files of a session that are known of, below its workspace.

    The whole history is asked for only where a check has a pattern: it may hold megabytes of pictures.
    """
    named = [*record.files, *declared(task)]
    if any(isinstance(check, FilesExist) and any(map(WILD.search, check.globs)) for check in task.checks):
        named = [*names_in([stored.event for stored in await rest.events(session_id)]), *named]
    return below(named, root)


def declared(task: AgentTask) -> list[str]:
    """Files that a task names itself: its outputs, its list, and those that its checks are about."""
    checked = [str(path) for check in task.checks if (path := getattr(check, "path", None)) is not None]
    globs = [glob for check in task.checks if isinstance(check, FilesExist) for glob in check.globs]
    plain = [glob for glob in globs if not WILD.search(glob)]
    listing = [] if task.manifest is None else [task.manifest]
    return list(dict.fromkeys([*task.outputs, *checked, *plain, *listing]))


def below(names: Iterable[str], root: str) -> list[str]:
    """The paths below a workspace that names mean; without those that mean none."""
    kept: list[str] = []
    for name in names:
        try:
            kept.append(placed(name, (root,) if root else ()).remote)
        except UnsafeName:
            continue
    return list(dict.fromkeys(kept))


async def fingerprint(workspace: Workspace, names: Iterable[str], calls: int) -> str:
    """A text that stays as long as nothing is done: neither a file changed nor a tool called that does something."""
    found: list[tuple[str, str | None, int | None]] = []
    for name in list(names)[-MOST_LOOKED_AT:]:
        if (facts := await workspace.head(name)) is not None:
            found.append((name, facts.etag, facts.size_bytes))
    return content_hash([sorted(found, key=lambda one: one[0]), calls])[:16]
