"""Git in the sandbox, in a repository whose own settings start no programs.

What a repository says can run programs: hooks, filters, text conversions, external diffs, monitors, pagers, signing.
The sandbox bounds what they could do; here they do not come to run at all. So only settings that are known to start
nothing are accepted in .git/config, the settings of the system and the user are not read, and the rest is switched off
by options.
"""

import re
import stat
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

from pydantic import Field, StringConstraints

from blocks.errors import BadInput, C500Error, EngineFailed, NotAllowed, NotFound
from blocks.plain_text import cut
from blocks.progress import in_thread
from blocks.sandbox import Completed, SandboxLimits
from tasks.agents.tool import Place
from tasks.agents.tools.boxed import checked, run_reading

OUTPUT_BYTES = 15_000
LIMITS = SandboxLimits(wall_s=60, cpu_s=60, output_bytes=OUTPUT_BYTES)

ENV = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": "true",
    "LC_ALL": "C.UTF-8",
}

OFF = {
    "safe.directory": "*",  # whose files these are does not matter once the settings are known
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.attributesFile": "/dev/null",
    "core.excludesFile": "/dev/null",
    "core.pager": "cat",
    "core.editor": "true",
    "core.sshCommand": "false",
    "core.alternateRefsCommand": "true",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",
    "diff.ignoreSubmodules": "all",
    "submodule.recurse": "false",
    "protocol.allow": "never",
    "maintenance.auto": "false",
    "gc.auto": "0",
}

HARMLESS = (
    *("core.repositoryformatversion", "core.filemode", "core.bare", "core.logallrefupdates", "core.symlinks"),
    *("core.ignorecase", "core.precomposeunicode", "core.autocrlf", "core.eol", "core.safecrlf", "core.quotepath"),
    *("core.sharedrepository", "core.abbrev", "core.protect*", "core.whitespace", "core.compression", "core.longpaths"),
    *("extensions.objectformat", "extensions.refstorage", "init.defaultbranch", "user.name", "user.email"),
    *("author.*", "committer.*", "remote.*.url", "remote.*.pushurl", "remote.*.fetch", "remote.*.prune"),
    *("branch.*.remote", "branch.*.merge", "branch.*.rebase", "branch.*.description", "branch.*.pushremote"),
    *("branch.autosetup*", "branch.sort", "tag.sort", "pull.rebase", "pull.ff", "push.*", "fetch.*", "rebase.auto*"),
    *("color.*", "advice.*", "status.*", "gc.*", "pack.*", "index.*", "http.*", "url.*", "lfs.*"),
    *("diff.algorithm", "diff.renames", "diff.context", "diff.mnemonicprefix", "diff.noprefix", "merge.conflictstyle"),
    *("log.date", "commit.gpgsign", "tag.gpgsign", "submodule.*.url", "submodule.*.active", "submodule.active"),
)
"""Settings of a repository that start no program, in the commands used here; anything else is refused."""

NO_LINKS = ("config", "HEAD", "index", "objects", "objects/info", "objects/pack", "refs", "packed-refs", "info", "logs")
MUST_NOT_BE = ("commondir", "config.worktree", "objects/info/alternates", "objects/info/http-alternates")
"""They take a repository's parts from elsewhere."""

Ref = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/@{}^~+-]{0,199}$"),
    Field(description="A branch, tag or commit, as main, v1.2 or HEAD~2"),
]
BranchName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._/+-]{0,199}$")]
HASH = re.compile(r"[0-9a-f]{40,64}")


class Repository:
    """A repository whose settings start no programs; see `open_repository`.

    Args:
        place: Workspace and sandbox.
        where: Its folder, relative to the workspace.
    """

    def __init__(self, place: Place, where: str) -> None:
        self._place = place
        # With the folder named, git looks for no other one above it.
        options = [option for name, value in OFF.items() for option in ("-c", f"{name}={value}")]
        self._git = ["git", "-C", f"./{where}", "--git-dir=.git", "--work-tree=.", "--no-pager", *options]

    async def read(self, command: str, *arguments: str) -> str:
        """What a command says that changes nothing.

        Args:
            command: Of git.
            arguments: Its options, and what was checked of the caller's.

        Raises:
            NotFound, BadInput, EngineFailed, TimedOut: git refuses, or did not end.
        """
        argv = [*self._git, command, *arguments]
        return _said(command, await run_reading(self._place, argv, limits=LIMITS, env=ENV))

    async def change(self, command: str, *arguments: str, stdin: bytes = b"", options: Sequence[str] = ()) -> str:
        """What a command says that changes the repository; see `read`.

        Args:
            command: Of git.
            arguments: Its options, and what was checked of the caller's.
            stdin: What it may read.
            options: Of git itself.
        """
        done = await self._place.sandbox.run(
            [*self._git, *options, command, *arguments],
            workspace=self._place.workspace.root,
            limits=LIMITS,
            stdin=stdin,
            env=ENV,
            writable=True,
        )
        return _said(command, checked(done, "git"))

    async def commit(self, ref: str) -> str:
        """The hash of the commit that a name stands for. Raises `NotFound`, and as `read`."""
        try:
            found = await self.read("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        except EngineFailed:
            found = ""
        if not HASH.fullmatch(found.strip()):
            raise NotFound(f"there is no commit {ref!r}", fix="list branches with git_branch, commits with git_log")
        return found.strip()


async def open_repository(place: Place, folder: str) -> Repository:
    """A repository, when its settings start no programs.

    Args:
        place: Workspace and sandbox.
        folder: Its folder, relative to the workspace.

    Raises:
        NotFound: there is none.
        NotAllowed: it leads elsewhere, or has settings that may start programs.
    """
    where = await in_thread(_plain_repository, place, folder)
    listing = ["git", "config", "--file", f"./{where}/.git/config", "--no-includes", "--list", "--name-only", "-z"]
    done = checked(await run_reading(place, listing, limits=LIMITS, env=ENV), "git")
    if done.exit_code != 0 or done.truncated:
        raise NotAllowed(
            f"the settings of the repository {folder!r:.200} cannot be read", fix="have a person look at .git/config"
        )
    names = [name for name in done.stdout.split("\0") if name]
    if bad := [name for name in names if not any(fnmatchcase(name.lower(), known) for known in HARMLESS)]:
        raise NotAllowed(
            f"the repository {folder!r:.200} has settings that may start programs: {cut(', '.join(bad), 300)}",
            fix="have a person remove them from .git/config",
        )
    return Repository(place, where)


def _plain_repository(place: Place, folder: str) -> str:
    """Where a repository lies, when all of it lies there."""
    root = place.workspace.root
    real = Path(place.workspace.touched(folder))
    inner = real / ".git"
    kind = _kind(inner)
    if kind is None:
        raise NotFound(f"there is no git repository in {folder!r:.200}", fix="name the folder that holds .git")
    if kind != stat.S_IFDIR or any(_kind(inner / name) == stat.S_IFLNK for name in NO_LINKS):
        raise NotAllowed(f"the repository {folder!r:.200} has parts elsewhere", fix="use a clone of its own")
    if found := [name for name in MUST_NOT_BE if _kind(inner / name) is not None]:
        raise NotAllowed(f"the repository {folder!r:.200} has {found[0]}", fix="use a clone of its own")
    return str(real.relative_to(root))


def _kind(path: Path) -> int | None:
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _said(command: str, done: Completed) -> str:
    if done.exit_code != 0:
        raise _told(command, done)
    return done.stdout


def _told(command: str, done: Completed) -> C500Error:
    message = cut((done.stderr or done.stdout).strip(), 600) or f"exit code {done.exit_code}"
    low = message.lower()
    if "did not match any file" in low:
        return NotFound(f"git {command}: {message}", fix="name files that are there; git_status lists changes")
    if "nothing to commit" in low or "no changes added" in low or "ignored by one of" in low:
        return BadInput(f"git {command}: {message}", fix="look at git_status, and name files that changed")
    if "would be overwritten" in low:
        return BadInput(f"git {command}: {message}", fix="commit the changes first, or undo them")
    return EngineFailed(f"git {command}: {message}", fix="look at git_status, then decide")
