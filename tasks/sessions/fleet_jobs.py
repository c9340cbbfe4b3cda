"""The jobs of a fleet: read from YAML, JSON lines or a list, and looked at wholly before the first one begins."""

import json
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, TypeAdapter, ValidationError

from blocks.content import content_hash
from blocks.errors import BadInput, C500Error, Unsupported
from blocks.faults import Fault, faults_of
from blocks.iiagent.checks import Check
from blocks.iiagent.proof import FilePath
from blocks.iiagent.query import check_prompt
from blocks.iiagent.server import AgentServer
from blocks.model import Frozen
from blocks.yaml_file import YamlText, read_yaml
from tasks.sessions.task import ROOM_BYTES, AgentTask, Allowance, SentFile, sent_files

FIX = "correct it; docs/sessions.md shows the form of jobs"
FIELD = "jobs"
MOST_JOBS = 10_000

JobName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class FleetJob(Frozen):
    """A job as somebody writes it.

    Attributes:
        name: Its own within the fleet; its files are collected under it.
        prompt: What the agent shall do.
        files: Paths of what it is given; relative ones begin at the folder of the jobs' file.
        checks: What proves that it is done.
        server: The only server that it may run on.
        session_id: A conversation that it goes on with; needs a server.
        answer: Given to questions of the agent.
        outputs: Files to collect, besides those that the conversation names.
        manifest: A list of files that the agent writes.
        allowance: How much it may take.
    """

    name: JobName
    prompt: str = Field(min_length=1)
    files: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    server: str | None = None
    session_id: str | None = None
    answer: str | None = None
    outputs: tuple[FilePath, ...] = ()
    manifest: FilePath | None = None
    allowance: Allowance = Allowance()


class FleetFile(Frozen):
    """What a YAML file of jobs says."""

    jobs: tuple[FleetJob, ...] = Field(min_length=1, max_length=MOST_JOBS)


class ReadyJob(Frozen):
    """A job that can begin.

    Attributes:
        job: As it was written.
        files: What it is given, read.
    """

    job: FleetJob
    files: tuple[SentFile, ...] = ()

    @property
    def name(self) -> str:
        """Its name."""
        return self.job.name

    @cached_property
    def job_id(self) -> str:
        """Identity of what is to be done: with another prompt or other files it is another job."""
        sent = sorted((file.name, file.sha256) for file in self.files)
        checks = [check.model_dump(mode="json") for check in self.job.checks]
        return content_hash([self.job.name, self.job.prompt, sent, self.job.server, self.job.session_id, checks])[:16]

    def collects(self, into: Path | None) -> str:
        """What is collected, and whereto: a job that is done has its files brought again where that changes.

        Args:
            into: Folder of the fleet; None: the store.
        """
        job = self.job
        return content_hash([sorted(job.outputs), job.manifest, None if into is None else str(into)])[:16]

    def task_on(self, server: str, into: Path | None, *, again: bool) -> AgentTask:
        """The task that it is on a server."""
        job = self.job
        return AgentTask(
            prompt=job.prompt,
            files=self.files,
            checks=job.checks,
            server=server,
            session_id=job.session_id,
            name=job.name,
            answer=job.answer,
            allowance=job.allowance,
            outputs=job.outputs,
            manifest=job.manifest,
            into=None if into is None else into / job.name,
            again=again,
        )


FILE, JOB = TypeAdapter(FleetFile), TypeAdapter(FleetJob)


def ready_jobs(source: str | Path | Sequence[Mapping[str, Any]], servers: Sequence[AgentServer]) -> list[ReadyJob]:
    """All jobs, each looked at.

    Args:
        source: Path of a `.yaml`, `.yml`, `.jsonl` or `.ndjson` file, or the jobs themselves.
        servers: Those that the fleet may use.

    Raises:
        NotFound: there is no such file.
        BadInput: something is wrong; `details["problems"]` has every fault, of a file with its line.
        Unsupported: the file is of another format.
    """
    text, jobs, folder = _read(source)
    faults: list[Fault] = []
    ready: list[ReadyJob] = []
    hashed: dict[Path, SentFile] = {}
    for number, job in enumerate(jobs):
        found = list(_faults(job, number, jobs, servers))
        try:
            files = _files(job, folder, hashed)
        except C500Error as error:
            found.append(Fault((FIELD, number, "files"), error.message))
        else:
            ready.append(ReadyJob(job=job, files=files))
        faults += found
    if faults:
        raise text.wrong(faults)
    return ready


def _faults(job: FleetJob, number: int, jobs: Sequence[FleetJob], servers: Sequence[AgentServer]) -> Iterable[Fault]:
    first = next(at for at, other in enumerate(jobs) if other.name == job.name)
    if first != number:
        yield Fault((FIELD, number, "name"), "another job has this name", other=(FIELD, first, "name"))
    known = [server.name for server in servers]
    if job.server is not None and job.server not in known:
        yield Fault((FIELD, number, "server"), f"no such server takes part; known are {', '.join(known)}")
    if job.session_id is not None and job.server is None:
        yield Fault((FIELD, number, "session_id"), "name the server that has it, as `server`")
    most = min((server.limits.query_bytes for server in servers if job.server in (None, server.name)), default=None)
    try:
        check_prompt(job.prompt, (most or 2 * ROOM_BYTES) - ROOM_BYTES)
    except BadInput as error:
        yield Fault((FIELD, number, "prompt"), error.message)


def _files(job: FleetJob, folder: Path, hashed: dict[Path, SentFile]) -> tuple[SentFile, ...]:
    """The files of a job; one that several jobs are given is read once."""
    paths = [folder / Path(file).expanduser() for file in job.files]
    sent = sent_files([hashed.get(path, path) for path in paths])
    hashed.update(zip(paths, sent, strict=True))
    return sent


class _Lines(YamlText):
    """JSON lines, each a job: the line of a place is that of its job."""

    def __init__(self, name: str, lines: Sequence[int]) -> None:
        super().__init__(name=name, fix=FIX, field=FIELD)
        object.__setattr__(self, "lines", tuple(lines))

    lines: tuple[int, ...] = ()

    def line(self, place: tuple[int | str, ...]) -> int:
        """The line of the job that a place is in."""
        number = next((step for step in place if isinstance(step, int)), 0)
        return self.lines[number] if number < len(self.lines) else 1


class _Given(YamlText):
    """Jobs from a program: they have no lines."""

    def wrong(self, faults: Iterable[Fault]) -> BadInput:
        """The error of jobs with these faults."""
        problems = [f"{fault.where}: {fault.what}" for fault in faults]
        return BadInput("\n".join(problems[:10]), fix=FIX, problems=problems, field=FIELD)


def _read(source: str | Path | Sequence[Mapping[str, Any]]) -> tuple[YamlText, Sequence[FleetJob], Path]:
    if not isinstance(source, str | Path):
        given = _Given(name=FIELD, content={FIELD: list(source)}, fix=FIX, field=FIELD)
        return given, given.read_as(FILE).jobs, Path.cwd()
    path = Path(source).expanduser().absolute()
    if path.suffix.lower() in (".yaml", ".yml"):
        text = read_yaml(path, fix=FIX, field=FIELD)
        return text, text.read_as(FILE).jobs, path.parent
    if path.suffix.lower() in (".jsonl", ".ndjson"):
        lines, jobs = _json_lines(path)
        return _Lines(str(path), lines), jobs, path.parent
    raise Unsupported(f"{path.name} is of no format of jobs", fix="write .yaml or .jsonl", field=FIELD)


def _json_lines(path: Path) -> tuple[list[int], list[FleetJob]]:
    # Only the text is of use here: a file of JSON lines is no YAML.
    text = YamlText(name=str(path), fix=FIX, field=FIELD)
    wrong: list[tuple[int, str]] = []
    lines: list[int] = []
    jobs: list[FleetJob] = []
    for number, line in enumerate(_lines_of(path), start=1):
        if not line.strip():
            continue
        try:
            told: Any = json.loads(line)
            jobs.append(JOB.validate_python(told))
            lines.append(number)
        except ValidationError as error:
            wrong += [(number, f"{fault.where}: {fault.what}") for fault in faults_of(error, JOB, json=True)]
        except (ValueError, RecursionError):
            wrong.append((number, "it is no JSON"))
    if not jobs and not wrong:
        wrong.append((1, "there are no jobs in it"))
    if len(jobs) > MOST_JOBS:
        wrong.append((lines[MOST_JOBS], f"a fleet has {MOST_JOBS} jobs at most"))
    if wrong:
        raise text.bad(wrong)
    return lines, jobs


def _lines_of(path: Path) -> list[str]:
    from blocks.errors import NotFound

    try:
        return path.read_text(encoding="utf-8-sig").split("\n")
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", fix="check the path", field=FIELD) from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", fix="look at its rights", field=FIELD) from error
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 text", fix="convert it, for instance with iconv", field=FIELD) from error
