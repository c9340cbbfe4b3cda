"""The files of a conversation, brought here without a task, and what of them goes on to another."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter, ValidationError

from blocks.errors import BadInput, NotFound
from blocks.faults import faults_of
from blocks.iiagent.download import DownloadLimits
from blocks.iiagent.downloaded import FILES
from blocks.iiagent.paths import session_id as checked_id
from blocks.iiagent.rest import AgentRest
from blocks.iiagent.server import AgentServer
from blocks.iiagent.state import find_session, read_state
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.steps import WHERE_WORTH_RETRYING
from tasks.sessions.collect import collect, kept_in
from tasks.sessions.result import Collected
from tasks.sessions.task import FIX, SentFile, sent_file

LIMITS = TypeAdapter(DownloadLimits)


class SessionFiles(Frozen):
    """The files of a conversation.

    Attributes:
        session_id: Which.
        server: Where it is.
        ui_url: Where people see it.
        files: What was brought.
        folder: Where they lie on this machine.
    """

    session_id: str
    server: str
    ui_url: str | None = None
    files: Collected
    folder: Path


@task(
    name="download",
    cache_policy=NO_CACHE,
    persist_result=False,
    **WHERE_WORTH_RETRYING,
)
async def download_step(
    server: AgentServer,
    session_id: str,
    names: Sequence[str] | None = None,
    *,
    manifest: str | None = None,
    into: Path | None = None,
    limits: dict[str, Any] | None = None,
    unpack: bool = False,
) -> SessionFiles:
    """Bring the files of a conversation here.

    Args:
        server: Where it is.
        session_id: Which.
        names: Only these; None: all that it names, and what was uploaded to it from here.
        manifest: A list of files that the agent wrote.
        into: Folder; None: the store.
        limits: What may be brought.
        unpack: Whether archives among them are unpacked.
    """
    session = checked_id(session_id)
    caps = limits_of(limits)
    more = () if names is not None else await in_thread(_uploaded, session)
    async with AgentRest(server) as rest:
        found = await collect(
            server, rest, session, names=names, more=more, manifest=manifest, into=into, limits=caps, unpack=unpack
        )
    return SessionFiles(
        session_id=session,
        server=server.name,
        ui_url=server.session_url(session),
        files=found,
        folder=kept_in(session, into),
    )


def limits_of(fields: dict[str, Any] | None) -> DownloadLimits:
    """The limits of these fields. Raises `BadInput`."""
    try:
        return LIMITS.validate_python(fields or {})
    except ValidationError as error:
        fault = faults_of(error, LIMITS)[0]
    raise BadInput(f"download.{fault.where}: {fault.what}", fix=FIX, field="download")


def sent_on(found: SessionFiles) -> list[SentFile]:
    """The files of a conversation, to be sent to another. Raises `NotFound` where there are none."""
    here = [record for record in found.files.files if not record.stale]
    if not here:
        raise NotFound(
            f"the session {found.session_id} has no files that can be had",
            fix="name them, if its conversation does not",
            field="source_session",
        )
    last = Counter(Path(record.name).name for record in here)
    return [
        # Two files of one name in two folders are sent under the whole path, as a_x.csv and b_x.csv.
        sent_file(
            found.folder / FILES / record.name,
            record.name.replace("/", "_") if last[Path(record.name).name] > 1 else None,
        )
        for record in here
    ]


def _uploaded(session_id: str) -> tuple[str, ...]:
    """Files that were sent to a session from here: its events do not name them."""
    folder = find_session(session_id)
    state = None if folder is None else read_state(folder)
    return () if state is None else tuple(sent.path.removeprefix("./") for sent in state.uploads.values())
