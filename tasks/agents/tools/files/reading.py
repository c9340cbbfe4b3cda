"""Tools that read the files of the workspace."""

import posixpath
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from blocks.action import Touched
from blocks.errors import BadInput
from blocks.model import Frozen
from blocks.plain_text import cut
from blocks.progress import in_thread
from blocks.sandbox import SandboxLimits
from blocks.workspace import Entry, Workspace, is_protected
from tasks.agents.tool import Call, Place, Tool
from tasks.agents.tools.boxed import run_reading
from tasks.agents.tools.files.slices import first_and_last, from_line, part

USUAL_BYTES = 12_000
MOST_BYTES = 16_000
MOST_ENTRIES = 300
MOST_VISITED = 20_000
MATCH_CHARS = 300
FOUND = re.compile(r"(?P<path>[^\0]+)\0(?P<line>\d+):(?P<byte>\d+):(?P<text>.*)")

PathName = Annotated[
    str, StringConstraints(min_length=1, max_length=4000), Field(description="Path relative to the workspace")
]


class ReadFile(Frozen):
    """Arguments of `read_file`."""

    path: PathName
    start_line: int | None = Field(default=None, ge=1, description="First line to read; the first of the file is 1")
    start_byte: int | None = Field(default=None, description="First byte to read; negative: counted from the end")
    most_bytes: int = Field(default=USUAL_BYTES, ge=100, le=MOST_BYTES, description="Bytes that are read at most")

    @model_validator(mode="after")
    def _is_one_start(self) -> "ReadFile":
        if self.start_line is not None and self.start_byte is not None:
            raise ValueError("give start_line or start_byte, not both")
        return self


class ListFiles(Frozen):
    """Arguments of `list_files`."""

    path: PathName = "."
    recursive: bool = Field(default=False, description="Whether what is in folders within is listed, too")
    pattern: str = Field(default="*", max_length=200, description="Only names like this, as *.py")


class SearchFiles(Frozen):
    """Arguments of `search_files`."""

    pattern: str = Field(min_length=1, max_length=1000, description="What is looked for: a regular expression (PCRE)")
    path: PathName = "."
    literal: bool = Field(default=False, description="Whether the pattern is a plain text, no regular expression")
    ignore_case: bool = Field(default=False, description="Whether a and A are the same")
    files: str | None = Field(default=None, max_length=200, description="Only files with names like this, as *.py")
    most: int = Field(default=50, ge=1, le=200, description="Places that are given at most")


def _reaches(arguments: ReadFile | ListFiles | SearchFiles, place: Place) -> Touched:
    return Touched(reads=(place.workspace.touched(arguments.path),))


async def _read(arguments: ReadFile, call: Call) -> dict[str, Any]:
    workspace, most, redact = call.place.workspace, arguments.most_bytes, call.place.redactor.text
    if arguments.start_line is not None:
        return await in_thread(from_line, workspace, arguments.path, arguments.start_line, most, redact)
    if arguments.start_byte is not None:
        return await in_thread(part, workspace, arguments.path, arguments.start_byte, most, redact)
    return await in_thread(first_and_last, workspace, arguments.path, most, redact)


async def _list(arguments: ListFiles, call: Call) -> dict[str, Any]:
    return await in_thread(_listed, call.place.workspace, arguments)


def _listed(workspace: Workspace, arguments: ListFiles) -> dict[str, Any]:
    shown: list[str] = []
    for visited, entry in enumerate(_entries(workspace, arguments)):
        if len(shown) == MOST_ENTRIES or visited == MOST_VISITED:
            return {"entries": shown, "more": "there are more: list a folder within, or give a pattern"}
        if fnmatch(entry.name.rpartition("/")[2], arguments.pattern):
            shown.append(_line(entry))
    return {"entries": shown}


def _entries(workspace: Workspace, arguments: ListFiles) -> Iterator[Entry]:
    folders = [arguments.path]
    while folders:
        entries = workspace.list(folders.pop(), most=MOST_VISITED)
        yield from entries
        if arguments.recursive:
            inner = (one for one in reversed(entries) if one.kind == "folder" and one.name.isprintable())
            folders += [one.name for one in inner if not is_protected(one.name.split("/"))]


def _line(entry: Entry) -> str:
    name = entry.name if entry.name.isprintable() else ascii(entry.name)
    if entry.kind == "folder":
        return f"{name}/"
    return f"{name} ({entry.size_bytes} bytes)" if entry.kind == "file" else f"{name} ({entry.kind})"


def _of_one_name(root: Path, names: set[str]) -> set[str]:
    """Those that are no hard links, which may be files from outside and are not read either."""

    def is_single(name: str) -> bool:
        try:
            return (root / name).lstat().st_nlink == 1
        except OSError:
            return False

    return {name for name in names if is_single(name)}


async def _search(arguments: SearchFiles, call: Call) -> dict[str, Any]:
    workspace = call.place.workspace
    below = await in_thread(workspace.stat, arguments.path)  # that it is there
    done = await run_reading(
        call.place,
        _grep(arguments, f"./{below.name}"),
        limits=SandboxLimits(wall_s=30, cpu_s=30, output_bytes=1_000_000, memory_bytes=2 << 30),
    )
    matches = [match for line in done.stdout.splitlines() if (match := FOUND.fullmatch(line))]
    own = await in_thread(_of_one_name, workspace.root, {match["path"] for match in matches})
    found = [match for match in matches if match["path"] in own]
    if not matches and done.exit_code > 1:
        raise BadInput(f"grep: {cut(done.stderr.strip(), 300)}", fix="correct the pattern, or set literal=true")
    places = [
        {
            "path": posixpath.normpath(match["path"]),
            "line": int(match["line"]),
            "byte": int(match["byte"]),
            "text": cut(call.place.redactor.text(match["text"]), MATCH_CHARS),
        }
        for match in found[: arguments.most]
    ]
    more = {"more": "there are more: narrow the search"} if len(found) > arguments.most or done.truncated else {}
    return {"found": places, **more}


def _grep(arguments: SearchFiles, below: str) -> list[str]:
    """In the sandbox, whose processor time bounds patterns that take for ever."""
    return [
        *("grep", "--recursive", "--with-filename", "--null", "--line-number", "--byte-offset", "--no-messages"),
        *("--binary-files=without-match", "--devices=skip", "--color=never", f"--max-count={arguments.most + 1}"),
        *("--exclude-dir=.git", "--exclude-dir=.trash"),
        "--fixed-strings" if arguments.literal else "--perl-regexp",
        *(["--ignore-case"] if arguments.ignore_case else []),
        *([f"--include={arguments.files}"] if arguments.files else []),
        *("-e", arguments.pattern, "--", below),
    ]


_READING: dict[str, Any] = {
    "risk": "low",
    "reversible": True,
    "read_only": True,
    "labels": frozenset({"untrusted"}),
    "touches": _reaches,
}

TOOLS: tuple[Tool[Any], ...] = (
    Tool(
        name="read_file",
        description="Read a text file of the workspace. Of a long one the beginning and the end are shown; read on "
        "with start_byte (see next_byte) or start_line.",
        arguments=ReadFile,
        call=_read,
        **_READING,
    ),
    Tool(
        name="list_files",
        description="List files and folders of the workspace with their sizes.",
        arguments=ListFiles,
        call=_list,
        **_READING,
    ),
    Tool(
        name="search_files",
        description="Find a text or a regular expression in the files of the workspace: path, line, byte and text of "
        "each place.",
        arguments=SearchFiles,
        call=_search,
        **_READING,
    ),
)
