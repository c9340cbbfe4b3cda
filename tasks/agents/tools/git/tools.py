"""Tools for a git repository of the workspace."""

import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from blocks.action import Touched
from blocks.errors import BadInput, NotFound
from blocks.model import Frozen
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.files.reading import PathName
from tasks.agents.tools.git.repository import BranchName, Ref, Repository, open_repository

NO_PROGRAMS = ("--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")
LOOK_BACK = 50
"""Commits among which an earlier attempt's is looked for."""

Path = Annotated[
    str,
    StringConstraints(pattern=r"^[^/\x00][^\x00]{0,3999}$"),
    Field(description="Path relative to the repository"),
]
Paths = Annotated[tuple[Path, ...], Field(max_length=200)]
Message = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=5000, pattern=r"^[^\x00]*$")]


class _InRepository(Frozen):
    """What all arguments have."""

    repository: PathName = Field(default=".", description="The folder that holds .git, relative to the workspace")


class GitStatus(_InRepository):
    """Arguments of `git_status`."""


class GitDiff(_InRepository):
    """Arguments of `git_diff`."""

    base: Ref | None = Field(default=None, description="Compare with this commit; None: with what is staged")
    head: Ref | None = Field(default=None, description="Compare this commit with base; None: the files as they are")
    staged: bool = Field(default=False, description="Whether what is staged is compared, instead of the files")
    names_only: bool = Field(default=False, description="Whether only the changed files are listed, with counts")
    paths: Paths = Field(default=(), description="Only these files, relative to the repository; empty: all")


class GitLog(_InRepository):
    """Arguments of `git_log`."""

    ref: Ref = "HEAD"
    most: int = Field(default=20, ge=1, le=200, description="Commits that are listed at most, newest first")
    paths: Paths = Field(default=(), description="Only commits that changed these, relative to the repository")


class GitShow(_InRepository):
    """Arguments of `git_show`."""

    ref: Ref = "HEAD"
    path: Path | None = Field(default=None, description="A file as it was in the commit; None: what it changed")


class GitCommit(_InRepository):
    """Arguments of `git_commit`."""

    message: Message = Field(description="What was changed, and why")
    paths: Paths = Field(min_length=1, description="The files to commit, relative to the repository; new ones, too")


class GitBranch(_InRepository):
    """Arguments of `git_branch`."""

    name: BranchName | None = Field(default=None, description="Switch to this branch; None: list branches")
    create: bool = Field(default=False, description="Whether the branch is made where there is none")
    start: Ref | None = Field(default=None, description="Where a new branch begins; None: here")


async def _status(arguments: GitStatus, call: Call) -> str:
    repository = await open_repository(call.place, arguments.repository)
    options = ("--porcelain=v1", "--branch", "--untracked-files=normal", "--ignore-submodules=all")
    return await repository.read("status", *options)


async def _diff(arguments: GitDiff, call: Call) -> str:
    if arguments.head and (not arguments.base or arguments.staged):
        raise BadInput("head is compared with base alone", fix="give base, and leave out staged", field="head")
    repository = await open_repository(call.place, arguments.repository)
    commits = [await repository.commit(ref) for ref in (arguments.base, arguments.head) if ref]
    options = [*NO_PROGRAMS, "--ignore-submodules=all"]
    options += [*(["--staged"] if arguments.staged else []), *(["--numstat"] if arguments.names_only else [])]
    return await repository.read("diff", *options, *commits, "--", *arguments.paths) or "there is no difference"


async def _log(arguments: GitLog, call: Call) -> str:
    repository = await open_repository(call.place, arguments.repository)
    options = (f"--max-count={arguments.most}", "--date=iso", "--format=%h %ad %an: %s", "--no-color")
    return await repository.read("log", *options, await repository.commit(arguments.ref), "--", *arguments.paths)


async def _show(arguments: GitShow, call: Call) -> str:
    repository = await open_repository(call.place, arguments.repository)
    commit = await repository.commit(arguments.ref)
    if arguments.path is None:
        return await repository.read("show", *NO_PROGRAMS, "--stat", "--patch", "--format=fuller", commit, "--")
    return await repository.read("show", *NO_PROGRAMS, f"{commit}:./{arguments.path}", "--")


async def _commit(arguments: GitCommit, call: Call) -> dict[str, Any]:
    repository = await open_repository(call.place, arguments.repository)
    mark = f"Agent-Call: {re.sub(r'[^A-Za-z0-9_./:-]', '_', call.effect_id)}"
    done = await _made_before(repository, mark)
    if done is None:
        name = call.agent or "agent"
        await repository.change("add", "--all", "--", *arguments.paths)
        await repository.change(
            "commit",
            *("--quiet", "--no-verify", "--no-gpg-sign", "--file=-", "--", *arguments.paths),
            options=("-c", f"user.name={name}", "-c", f"user.email={name}@agents.invalid"),
            stdin=f"{arguments.message}\n\n{mark}\n".encode("utf-8", "replace"),
        )
        done = await repository.commit("HEAD")
    return {"commit": done}


async def _made_before(repository: Repository, mark: str) -> str | None:
    """The commit of an earlier attempt."""
    try:
        head = await repository.commit("HEAD")
    except NotFound:
        return None  # the first commit of all
    options = (f"--max-count={LOOK_BACK}", "--fixed-strings", f"--grep={mark}", "--format=%H")
    return (await repository.read("log", *options, head)).partition("\n")[0] or None


async def _branch(arguments: GitBranch, call: Call) -> Any:
    repository, name = await open_repository(call.place, arguments.repository), arguments.name
    if name is None:
        shape = "--format=%(HEAD) %(refname:short) %(objectname:short)"
        return await repository.read("branch", "--list", "--all", "--no-color", shape)
    try:
        await repository.commit(f"refs/heads/{name}")
    except NotFound:
        if not arguments.create:
            raise
        start = await repository.commit(arguments.start or "HEAD")
        await repository.change("switch", "--quiet", "--no-track", "--create", name, start)
        return {"branch": name, "created": True, "commit": start}
    await repository.change("switch", "--quiet", "--no-guess", name)
    return {"branch": name, "created": False}


def _reads(arguments: _InRepository, place: Place) -> Touched:
    return Touched(reads=(place.workspace.touched(arguments.repository),))


def _reads_files(arguments: GitDiff | GitLog | GitShow, place: Place) -> Touched:
    paths = arguments.paths if not isinstance(arguments, GitShow) else tuple(filter(None, (arguments.path,)))
    return Touched(reads=(place.workspace.touched(arguments.repository), *_real(arguments, paths, place)))


def _commits(arguments: GitCommit, place: Place) -> Touched:
    paths = _real(arguments, arguments.paths, place)
    where = place.workspace.touched(arguments.repository)
    return Touched(reads=paths, writes=(f"{where}/.git",), argv=("git", "commit", "--", *arguments.paths))


def _switches(arguments: GitBranch, place: Place) -> Touched:
    where = place.workspace.touched(arguments.repository)
    if arguments.name is None:
        return Touched(reads=(where,))
    return Touched(reads=(where,), writes=(where,), argv=("git", "switch", arguments.name))


def _real(arguments: _InRepository, paths: tuple[str, ...], place: Place) -> tuple[str, ...]:
    """The real paths of files of the repository. Raises `NotAllowed` for those that lie elsewhere."""
    return tuple(place.workspace.touched(f"{arguments.repository}/{path}") for path in paths)


_READING: dict[str, Any] = {
    "risk": "low",
    "reversible": True,
    "read_only": True,
    "labels": frozenset({"untrusted"}),
    "timeout_s": 200,
}

TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="git_status",
        description="Say which files of a git repository are changed, staged or new, and on which branch it is.",
        arguments=GitStatus,
        call=_status,
        touches=_reads,
        polls=True,
        **_READING,
    ),
    Tool(
        name="git_diff",
        description="Show what is different between the files, what is staged, and commits.",
        arguments=GitDiff,
        call=_diff,
        touches=_reads_files,
        **_READING,
    ),
    Tool(
        name="git_log",
        description="List commits, newest first: hash, date, author, first line.",
        arguments=GitLog,
        call=_log,
        touches=_reads_files,
        **_READING,
    ),
    Tool(
        name="git_show",
        description="Show what a commit changed, or a file as it was in it.",
        arguments=GitShow,
        call=_show,
        touches=_reads_files,
        **_READING,
    ),
    Tool(
        name="git_commit",
        description="Commit files of a git repository as they are now, on the branch it is on. Nothing is pushed.",
        arguments=GitCommit,
        call=_commit,
        risk="medium",
        reversible=True,
        repeatable=True,
        labels=frozenset({"untrusted"}),
        touches=_commits,
        timeout_s=300,
    ),
    Tool(
        name="git_branch",
        description="List the branches of a git repository, or switch to one, which may be made for it. Files that "
        "were changed and not committed stay; git refuses where they would be lost.",
        arguments=GitBranch,
        call=_branch,
        risk="medium",
        reversible=True,
        repeatable=True,
        labels=frozenset({"untrusted"}),
        touches=_switches,
        timeout_s=300,
    ),
)
