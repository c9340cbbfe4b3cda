"""What an agent is asked to do, what proves that it did, and how much it may take."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError, field_validator

from blocks.content import content_hash
from blocks.errors import BadInput, NotFound, TooLarge
from blocks.faults import faults_of
from blocks.iiagent.checks import Check, read_checks
from blocks.iiagent.download import DownloadLimits
from blocks.iiagent.paths import session_id as checked_id
from blocks.iiagent.paths import upload_name
from blocks.iiagent.proof import FilePath
from blocks.iiagent.query import check_prompt
from blocks.iiagent.server import AgentServer
from blocks.iiagent.upload import MOST_BYTES
from blocks.model import Frozen

FIX = "correct it; see docs/sessions.md"

ROOM_BYTES = 64 * 1024
"""A query that goes on with a task says more than its prompt: what is missing, and what was asked."""

OnQuestion = Literal["end", "pause"]


class Allowance(Frozen):
    """How much a task may take until it is given up.

    Attributes:
        max_continues: Prompts after the first one.
        max_silent: Silent stops, one after another, with which it ends.
        wall_s: Seconds of all its turns together.
        tool_calls: Calls of tools of all its turns together.
    """

    max_continues: int = Field(default=3, ge=0, le=1000)
    max_silent: int = Field(default=2, ge=1, le=1000)
    wall_s: float = Field(default=14_400, gt=0)
    tool_calls: int = Field(default=2_000, ge=1)


class SentFile(Frozen):
    """A file that goes with a task.

    Attributes:
        path: Where it is here.
        name: Under which it is sent.
        sha256: Of its content.
    """

    path: Path
    name: str
    sha256: str


class AgentTask(Frozen):
    """A task for an agent.

    Attributes:
        prompt: What it shall do.
        files: What it is given.
        checks: What proves that it is done; all must hold. None: the agent's word is taken for it.
        server: Name of the server.
        session_id: A conversation that it goes on with; None: one of its own.
        name: Tells it from others of the same prompt, files, server and session, which are the same task.
        answer: Given to a question of the agent.
        on_question: Without an answer: whether it ends, or waits for people in Prefect.
        allowance: How much it may take.
        outputs: Files to collect, besides those that the conversation names.
        manifest: A list of files that the agent writes; see `blocks.iiagent.named.listed`.
        into: Absolute path of the folder for its files; None: the store.
        download: What may be collected.
        unpack: Whether archives among what is collected are unpacked.
        again: Whether a task that was given up has its allowance once more.
    """

    prompt: str
    files: tuple[SentFile, ...] = ()
    checks: tuple[Check, ...] = ()
    server: str
    session_id: Annotated[str, StringConstraints(min_length=1)] | None = None
    name: str = Field(default="", max_length=200)
    answer: str | None = Field(default=None, min_length=1, max_length=100_000)
    on_question: OnQuestion = "end"
    allowance: Allowance = Allowance()
    outputs: tuple[FilePath, ...] = Field(default=(), max_length=2000)
    manifest: FilePath | None = None
    into: Path | None = None
    download: DownloadLimits = DownloadLimits()
    unpack: bool = False
    again: bool = False

    @field_validator("session_id")
    @classmethod
    def _one_spelling(cls, session: str | None) -> str | None:
        return None if session is None else checked_id(session)

    @cached_property
    def work_id(self) -> str:
        """Identity of what is to be done, wherever that is."""
        sent = sorted((file.name, file.sha256) for file in self.files)
        return content_hash([self.prompt, sent, self.session_id, self.name])[:12]

    @cached_property
    def task_id(self) -> str:
        """Identity: the same task on the same server is gone on with, and not done twice."""
        return content_hash([self.work_id, self.server])[:16]


CHECKS: TypeAdapter[tuple[Check, ...]] = TypeAdapter(tuple[Check, ...])
FORM: TypeAdapter[AgentTask] = TypeAdapter(AgentTask)


def agent_task_of(
    *, files: Sequence[str | Path | SentFile] = (), into: str | Path | None = None, **rest: Any
) -> AgentTask:
    """The task of these fields, its files read and its paths made absolute.

    Raises:
        BadInput, NotFound, TooLarge: naming the field that is wrong.
    """
    place = None if into is None else Path(into).expanduser().absolute()
    sent = sent_files(files)
    try:
        task = FORM.validate_python({**rest, "files": sent, "into": place})
    except ValidationError as error:
        fault = faults_of(error, FORM)[0]
    else:
        check_prompt(task.prompt, 2 * MOST_BYTES)
        return task
    raise BadInput(f"{fault.where}: {fault.what}", fix=FIX, field=fault.where)


def checks_of(given: str | Path | Iterable[Any]) -> tuple[Check, ...]:
    """Checks: themselves, as mappings, or as the path of a YAML file. Raises `BadInput`, `NotFound`."""
    if isinstance(given, str | Path):
        return read_checks(Path(given).expanduser()).checks
    try:
        return CHECKS.validate_python(tuple(given))
    except ValidationError as error:
        fault = faults_of(error, CHECKS)[0]
    raise BadInput(f"checks.{fault.where}: {fault.what}", fix=FIX, field="checks")


def check_for(task: AgentTask, server: AgentServer) -> None:
    """Whether the server takes the prompt, also when more is said with it. Raises `BadInput`, `TooLarge`."""
    check_prompt(task.prompt, server.limits.query_bytes - ROOM_BYTES)


def sent_files(files: Iterable[str | Path | SentFile]) -> tuple[SentFile, ...]:
    """The files to send, read once for their hashes. Raises `BadInput`, `NotFound`, `TooLarge`."""
    sent = tuple(file if isinstance(file, SentFile) else sent_file(Path(file)) for file in files)
    names = [file.name for file in sent]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise BadInput(
            f"two of the files would be sent as {', '.join(twice)}", fix="rename one of the two", field="files"
        )
    return sent


def sent_file(path: Path, name: str | None = None) -> SentFile:
    """A file to send. Raises `BadInput`, `NotFound`, `TooLarge`."""
    path = path.expanduser().absolute()
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise BadInput(f"{path} is no plain file", fix="name a file", field="files")
        if size > MOST_BYTES:
            raise TooLarge(
                f"{path} has {size} bytes, and {MOST_BYTES} may be sent", fix="send it in parts", field="files"
            )
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", fix="check the path", field="files") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", fix="look at its rights", field="files") from error
    return SentFile(path=path, name=upload_name(name or path.name), sha256=digest)
