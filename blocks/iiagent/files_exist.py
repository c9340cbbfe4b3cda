"""The check that files are there."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from blocks.iiagent.paths import Placed, UnsafeName, placed
from blocks.iiagent.proof import HOLDS, FilePath, Proof, fails
from blocks.iiagent.workspace import Workspace
from blocks.model import Frozen
from blocks.patterns import compiled

WILD = re.compile(r"[*?\[]")
PIECES = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/\\]+\]|.", re.DOTALL)
MOST_LOOKED_AT = 500
"""Files that one pattern is tried on at the server."""


def _is_glob(glob: str) -> str:
    compiled(_expression(glob))
    return glob


Glob = Annotated[FilePath, Field(max_length=300), AfterValidator(_is_glob)]


class FilesExist(Frozen):
    """Files are there, and not empty.

    Attributes:
        globs: Paths; `*` and `?` stand for anything within a name, `**/` for folders, `[…]` for a character. A server
            lists no files: over HTTP, patterns find those that events named.
        at_least: So many for each of them that is a pattern.
        min_bytes: The least size of each.
    """

    kind: Literal["files_exist"]
    globs: tuple[Glob, ...] = Field(min_length=1, max_length=200)
    at_least: int = Field(default=1, ge=1)
    min_bytes: int = Field(default=1, ge=0)

    async def prove(self, workspace: Workspace, message: str) -> Proof:
        """Look for them."""
        known: list[Placed] | None = None
        missing: list[str] = []
        for glob in self.globs:
            if not WILD.search(glob):
                missing += await self._one(workspace, glob)
                continue
            known = known if known is not None else await _known(workspace)
            missing += await self._several(workspace, glob, known)
        return fails(" ".join(missing)) if missing else HOLDS

    async def _one(self, workspace: Workspace, path: str) -> list[str]:
        found = await workspace.head(path)
        if found is None:
            return [f"{path} is missing: write it."]
        if found.size_bytes is not None and found.size_bytes < self.min_bytes:
            return [f"{path} has {found.size_bytes} bytes, and needs {self.min_bytes} or more: write its content."]
        return []

    async def _several(self, workspace: Workspace, glob: str, known: list[Placed]) -> list[str]:
        form = compiled(_expression(glob))
        fitting = [place.remote for place in known if form.fullmatch(place.local)]
        found = 0
        for path in fitting[:MOST_LOOKED_AT]:
            found += not await self._one(workspace, path)
            if found >= self.at_least:
                return []
        files = "file" if self.at_least == 1 else "files"
        return [f"There are {found} of {self.at_least} {files} of the form {glob}: write what is missing."]


async def _known(workspace: Workspace) -> list[Placed]:
    kept: list[Placed] = []
    for name in await workspace.names():
        try:
            kept.append(placed(name, workspace.roots))
        except UnsafeName:  # no check could be about it
            continue
    return list(dict.fromkeys(kept))


def _expression(glob: str) -> str:
    """A pattern of file names as one of RE2."""
    meant = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "(?s)" + "".join(meant.get(piece) or _piece(piece) for piece in PIECES.findall(glob))


def _piece(piece: str) -> str:
    if len(piece) == 1:
        return re.escape(piece)
    inside = piece[1:-1]
    return f"[^/{_escaped(inside[1:])}]" if inside.startswith("!") else f"[{_escaped(inside)}]"


def _escaped(inside: str) -> str:
    return inside.replace("^", r"\^").replace("[", r"\[")
