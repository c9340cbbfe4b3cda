"""Git repositories, read and written through git's own objects: no checkout, no hook, no filter of theirs runs.

The repository is opened as if it had no work tree. So what `.gitattributes` of the change say does not hide lines from
its review, and whoever works in the repository's folder is not disturbed.
"""

import asyncio
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from blocks.errors import BadInput, EngineFailed, NotFound, TooLarge
from blocks.model import Frozen

SETTINGS = (
    *("-c", "core.bare=true", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"),
    *("-c", "protocol.allow=never", "-c", "core.quotePath=true", "-c", "commit.gpgSign=false"),
)
DIFF = ("--no-color", "--no-ext-diff", "--no-textconv", "--src-prefix=a/", "--dst-prefix=b/", "--full-index")
REF = re.compile(r"[A-Za-z0-9_][\w./@^~{}+-]{0,199}")
COMMAND_S = 120.0
OUTPUT_BYTES = 64_000_000
BATCH_BYTES, TREE_BYTES, TREE_FILES = 32_000_000, 500_000_000, 100_000
REGULAR = ("100644", "100755")


class Entry(Frozen):
    """A file in a tree.

    Attributes:
        mode: As git writes it: 100644, 100755, 120000 for a link, 160000 for a submodule.
        blob: Id of its content.
        size: Bytes.
        path: Where.
    """

    mode: str
    blob: str
    size: int
    path: str


@dataclass(frozen=True)
class Repository:
    """A repository.

    Attributes:
        git_dir: Its objects.
    """

    git_dir: Path

    @classmethod
    async def opened(cls, folder: Path) -> "Repository":
        """The repository that a folder is, or is in.

        Raises:
            NotFound: there is none.
        """
        if not folder.is_dir():
            raise NotFound(f"there is no folder {folder}", fix="name a git repository", field="repository")
        code, out, err = await _git(("-C", str(folder), "rev-parse", "--absolute-git-dir"), b"", {})
        if code:
            told = err.decode(errors="replace").strip()[-200:]
            raise NotFound(f"{folder} is no git repository: {told}", fix="name one", field="repository")
        return cls(Path(os.fsdecode(out.rstrip(b"\n"))))

    async def git(self, *words: str, stdin: bytes = b"", env: Mapping[str, str] = {}) -> bytes:
        """What a git command writes. Raises `EngineFailed`, `TooLarge`."""
        code, out, err = await self.attempt(*words, stdin=stdin, env=env)
        if code:
            told = err.decode(errors="replace").strip()[-500:]
            raise EngineFailed(f"git {words[0]} ended with {code}: {told}", fix="run it by hand to see why")
        return out

    async def attempt(self, *words: str, stdin: bytes = b"", env: Mapping[str, str] = {}) -> tuple[int, bytes, bytes]:
        """A git command's exit code and the two things it writes. Raises `TooLarge`, `EngineFailed`."""
        return await _git((*SETTINGS, f"--git-dir={self.git_dir}", *words), stdin, env)

    async def commit(self, ref: str, field: str = "ref") -> str:
        """The id of a commit. Raises `BadInput`, `NotFound`."""
        if not REF.fullmatch(ref) or ".." in ref:
            raise BadInput(f"{ref!r:.100} is no name of a commit", fix="give a branch, tag or id", field=field)
        code, out, _ = await self.attempt("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if code:
            raise NotFound(f"there is no commit {ref}", fix="give one that the repository has", field=field)
        return out.decode().strip()

    async def merge_base(self, one: str, other: str) -> str:
        """Where two commits part; the first itself where they have nothing in common."""
        code, out, _ = await self.attempt("merge-base", one, other)
        return out.decode().split()[0] if code == 0 and out.strip() else one

    async def diff(self, base: str, head: str, *more: str) -> bytes:
        """What changes between two trees."""
        return await self.git("diff", *DIFF, "-M", *more, base, head, "--")

    async def entries(self, tree: str) -> tuple[Entry, ...]:
        """All files of a tree; those whose names no folder should get are left out."""
        listed = await self.git("ls-tree", "-r", "-z", "--long", "--full-tree", tree)
        return tuple(_entries(listed))

    async def contents(self, blobs: Sequence[str]) -> dict[str, bytes]:
        """The contents of blobs."""
        if not blobs:
            return {}
        listed = await self.git("cat-file", "--batch", stdin="".join(f"{blob}\n" for blob in blobs).encode())
        return dict(_contents(listed))

    async def content(self, tree: str, path: str) -> bytes | None:
        """The content of a file of a tree; None where there is no regular one."""
        listed = await self.git("--literal-pathspecs", "ls-tree", "-z", "--long", "--full-tree", tree, "--", path)
        for entry in _entries(listed):
            if entry.mode in REGULAR:
                return (await self.contents([entry.blob]))[entry.blob]
        return None

    async def export(self, tree: str, folder: Path) -> tuple[str, ...]:
        """Write the regular files of a tree into an empty folder; links and submodules are left out.

        Raises:
            TooLarge: there are too many, or they are too large together.
        """
        entries = [entry for entry in await self.entries(tree) if entry.mode in REGULAR]
        if len(entries) > TREE_FILES or sum(entry.size for entry in entries) > TREE_BYTES:
            raise TooLarge(
                f"the tree has {len(entries)} files, or more than {TREE_BYTES} bytes", fix="use a smaller one"
            )
        for batch in _batches(entries):
            contents = await self.contents([entry.blob for entry in batch])
            for entry in batch:
                path = folder / entry.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(contents[entry.blob])
                path.chmod(0o755 if entry.mode == "100755" else 0o644)
        return tuple(entry.path for entry in entries)


async def _git(words: Sequence[str], stdin: bytes, env: Mapping[str, str]) -> tuple[int, bytes, bytes]:
    told = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": os.environ.get("HOME", "/"),
        "LANG": "C.UTF-8",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
    }
    process = await asyncio.create_subprocess_exec(
        "git",
        *words,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**told, **env},
        start_new_session=True,
    )
    assert process.stdout and process.stderr  # noqa: S101 - pipes, as asked for
    try:
        async with asyncio.timeout(COMMAND_S):
            out, err, _, code = await asyncio.gather(
                _limited(process.stdout), _limited(process.stderr), _fed(process, stdin), process.wait()
            )
    except TimeoutError as error:
        raise EngineFailed(f"git took longer than {COMMAND_S:.0f} s", fix="look at the repository's disk") from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return code, out, err


async def _limited(stream: asyncio.StreamReader) -> bytes:
    content = bytearray()
    while chunk := await stream.read(1 << 16):
        content += chunk
        if len(content) > OUTPUT_BYTES:
            raise TooLarge(f"git wrote more than {OUTPUT_BYTES} bytes", fix="take a smaller change")
    return bytes(content)


async def _fed(process: asyncio.subprocess.Process, content: bytes) -> None:
    assert process.stdin  # noqa: S101 - a pipe, as asked for
    with suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(content)
        await process.stdin.drain()
    process.stdin.close()


def _entries(listed: bytes) -> Iterator[Entry]:
    for line in listed.split(b"\0"):
        if not line:
            continue
        facts, _, name = line.partition(b"\t")
        mode, _, blob, size = facts.decode().split()
        path = os.fsdecode(name)
        if is_safe(path):
            yield Entry(mode=mode, blob=blob, size=0 if size == "-" else int(size), path=path)


def is_safe(path: str) -> bool:
    """Whether a path stays below the folder it is put into, and touches nothing of git's."""
    parts = path.split("/")
    return not any(part in ("", ".", "..") or part.casefold() == ".git" or "\0" in part for part in parts)


def _contents(listed: bytes) -> Iterator[tuple[str, bytes]]:
    start = 0
    while start < len(listed):
        end = listed.index(b"\n", start)
        blob, kind, size = listed[start:end].decode().split()
        assert kind == "blob", kind  # noqa: S101 - ids of blobs were asked for
        yield blob, listed[end + 1 : end + 1 + int(size)]
        start = end + 2 + int(size)


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and size + entry.size > BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += entry.size + 100
    if batch:
        yield batch
