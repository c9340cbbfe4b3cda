"""A fix as a branch: made of git's own objects, so that it is there as a whole or not at all.

No work tree is changed, no hook runs, nothing is merged or sent anywhere. The same fix on the same base is the same
commit, so that it can be made again after a crash.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.errors import Conflict, EngineFailed, NotAllowed
from tasks.ops.change.config import is_test
from tasks.ops.change.git import REGULAR, Repository

PREFIX = "c500/fix-tests"
NOBODY = "0" * 40
IDENTITY = {
    "GIT_AUTHOR_NAME": "C500",
    "GIT_AUTHOR_EMAIL": "c500@localhost",
    "GIT_COMMITTER_NAME": "C500",
    "GIT_COMMITTER_EMAIL": "c500@localhost",
}


async def tree_with(repository: Repository, base: str, path: str, text: str) -> str:
    """The id of the base's tree with another text of a test file.

    Raises:
        NotAllowed: anything but the text of test files would change.
        EngineFailed: git failed.
    """
    entry = next((one for one in await repository.entries(base) if one.path == path), None)
    if entry is None or entry.mode not in REGULAR:
        raise NotAllowed(f"{path} is no regular file", fix="have it put right by a person", path=path)
    blob = (await repository.git("hash-object", "-w", "--stdin", stdin=text.encode())).decode().strip()
    with TemporaryDirectory(prefix="c500-index-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        await repository.git("read-tree", base, env=index)
        line = f"{entry.mode} {blob}\t{path}\0".encode()
        await repository.git("update-index", "-z", "--index-info", stdin=line, env=index)
        tree = (await repository.git("write-tree", env=index)).decode().strip()
    await check_tree(repository, base, tree)
    return tree


async def check_tree(repository: Repository, base: str, tree: str) -> None:
    """Make sure that a tree differs from the base in the text of test files only.

    Raises:
        NotAllowed: another file differs, or a file was added, taken away, renamed, made a link or given other rights.
    """
    listed = await repository.git("diff-tree", "-r", "-z", "--raw", "--no-renames", "--no-abbrev", base, tree)
    words = listed.split(b"\0")
    for facts, name in zip(words[0::2], words[1::2], strict=False):
        path = name.decode("utf-8", "replace")
        old_mode, mode, _, _, status = facts.decode().removeprefix(":").split()
        if status != "M" or mode != old_mode or mode not in REGULAR:
            raise NotAllowed(f"{path} would change in kind, and not only its text", fix="do it by hand", path=path)
        if not is_test(path):
            raise NotAllowed(f"{path} is no test file", fix="have sources changed by a person", path=path)


async def commit_of(repository: Repository, base: str, tree: str, message: str) -> str:
    """The id of the commit of a tree; the same for the same base, tree and message."""
    moment = (await repository.git("log", "-1", "--format=%cI", base)).decode().strip()
    dates = {"GIT_AUTHOR_DATE": moment, "GIT_COMMITTER_DATE": moment}
    made = await repository.git("commit-tree", tree, "-p", base, stdin=message.encode(), env=IDENTITY | dates)
    return made.decode().strip()


async def make_branch(repository: Repository, branch: str, commit: str) -> None:
    """Have a branch lead to a commit; one that does so already is left as it is.

    Raises:
        Conflict: there is another branch of that name.
        EngineFailed: git failed.
    """
    ref = f"refs/heads/{branch}"
    code, _, err = await repository.attempt("update-ref", ref, commit, NOBODY)
    if code == 0:
        return
    known, found, _ = await repository.attempt("rev-parse", "--verify", "--quiet", ref)
    if known:
        raise EngineFailed(f"git cannot make {branch}: {err.decode(errors='replace').strip()[-300:]}", fix="see why")
    if found.decode().strip() != commit:
        raise Conflict(f"there is another branch {branch}", fix="merge or delete it first", branch=branch)
