"""Tools for a git repository of the workspace."""

import re
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from blocks.action import Touched
from blocks.errors import BadInput, NotFound
from blocks.model import Frozen
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.files.reading import PathName
from tasks.agents.tools.git.repository import BranchName, Ref, commit_of, run_git

NO_PROGRAMS = ("--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short")
LOOK_BACK = 50
"""Commits among which an earlier attempt's is looked for."""

Paths = Annotated[tuple[PathName, ...], Field(max_length=200)]
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
    path: PathName | None = Field(default=None, description="A file as it was in the commit; None: what it changed")


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
    return await run_git(call.place, arguments.repository, _status_argv(arguments))


async def _diff(arguments: GitDiff, call: Call) -> str:
    commits = [await commit_of(call.place, arguments.repository, ref) for ref in _compared(arguments)]
    return await run_git(call.place, arguments.repository, _diff_argv(arguments, commits)) or "there is no difference"


async def _log(arguments: GitLog, call: Call) -> str:
    commit = await commit_of(call.place, arguments.repository, arguments.ref)
    return await run_git(call.place, arguments.repository, _log_argv(arguments, commit))


async def _show(arguments: GitShow, call: Call) -> str:
    commit = await commit_of(call.place, arguments.repository, arguments.ref)
    return await run_git(call.place, arguments.repository, _show_argv(arguments, commit))


async def _commit(arguments: GitCommit, call: Call) -> dict[str, Any]:
    place, where = call.place, arguments.repository
    mark = f"Agent-Call: {re.sub(r'[^A-Za-z0-9_./:-]', '_', call.effect_id)}"
    done = await _made_before(place, where, mark)
    if done is None:
        name = call.agent or "agent"
        identity = ["-c", f"user.name={name}", "-c", f"user.email={name}@agents.invalid"]
        await run_git(place, where, ["add", "--all", "--", *arguments.paths], writing=True)
        await run_git(
            place,
            where,
            [*identity, "commit", "--quiet", "--no-verify", "--no-gpg-sign", "--file=-", "--", *arguments.paths],
            writing=True,
            stdin=f"{arguments.message}\n\n{mark}\n".encode("utf-8", "replace"),
        )
        done = await commit_of(place, where, "HEAD")
    return {"commit": done}


async def _made_before(place: Place, where: str, mark: str) -> str | None:
    """The commit of an earlier attempt."""
    try:
        head = await commit_of(place, where, "HEAD")
    except NotFound:
        return None  # the first commit of all
    search = ["log", f"--max-count={LOOK_BACK}", "--fixed-strings", f"--grep={mark}", "--format=%H", head]
    return (await run_git(place, where, search)).partition("\n")[0] or None


async def _branch(arguments: GitBranch, call: Call) -> Any:
    place, where, name = call.place, arguments.repository, arguments.name
    if name is None:
        listing = ["branch", "--list", "--all", "--no-color", "--format=%(HEAD) %(refname:short) %(objectname:short)"]
        return await run_git(place, where, listing)
    try:
        await commit_of(place, where, f"refs/heads/{name}")
    except NotFound:
        if not arguments.create:
            raise
        start = await commit_of(place, where, arguments.start or "HEAD")
        await run_git(place, where, ["switch", "--quiet", "--no-track", "--create", name, start], writing=True)
        return {"branch": name, "created": True, "commit": start}
    await run_git(place, where, ["switch", "--quiet", "--no-guess", name], writing=True)
    return {"branch": name, "created": False}


def _status_argv(_arguments: GitStatus) -> list[str]:
    return ["status", "--porcelain=v1", "--branch", "--untracked-files=normal", "--ignore-submodules=all"]


def _compared(arguments: GitDiff) -> list[str]:
    if arguments.head and not arguments.base:
        raise BadInput("head without base", fix="give base, too", field="base")
    if arguments.head and arguments.staged:
        raise BadInput("two commits are compared, or what is staged", fix="leave out staged or head", field="staged")
    return [ref for ref in (arguments.base, arguments.head) if ref]


def _diff_argv(arguments: GitDiff, commits: list[str]) -> list[str]:
    staged = ["--staged"] if arguments.staged else []
    shape = ["--numstat"] if arguments.names_only else []
    return ["diff", *NO_PROGRAMS, "--ignore-submodules=all", *staged, *shape, *commits, "--", *arguments.paths]


def _log_argv(arguments: GitLog, commit: str) -> list[str]:
    shape = "--format=%h %ad %an: %s"
    return ["log", f"--max-count={arguments.most}", "--date=iso", shape, "--no-color", commit, "--", *arguments.paths]


def _show_argv(arguments: GitShow, commit: str) -> list[str]:
    if arguments.path is None:
        return ["show", *NO_PROGRAMS, "--stat", "--patch", "--format=fuller", commit, "--"]
    return ["show", *NO_PROGRAMS, f"{commit}:./{arguments.path}", "--"]


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
