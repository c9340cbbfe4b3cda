"""Which names may be sent and written: what a server or an archive names becomes a path below a folder, or nothing."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from blocks.errors import BadInput
from blocks.plain_text import INVISIBLE, cut, plain

LONGEST_NAME = 512
"""Characters of a path below the workspace."""

LONGEST_GIVEN = 4096
"""Characters of a name as it is given, with the workspace's own path; nothing longer is looked at."""

LONGEST_PART_BYTES = 255
"""Of one part in UTF-8: what Linux, macOS and Windows all keep."""

MOST_DEEP = 32
"""Parts of a path."""

IN_DOCKER = "/workspace"
"""Where a workspace lies for an agent in a Docker sandbox."""

DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\s*\..*)?", re.IGNORECASE)
"""Names that Windows takes for devices, whatever ending they have.

Source: Microsoft, «Naming Files, Paths, and Namespaces».
"""

SESSION_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
NOT_SENT = re.compile(r'[/\\:*?"<>|%#]')
"""In names of uploads, where ours to choose: prompts, URLs and Windows read something else into each of them."""


class UnsafeName(BadInput):
    """A name that is not written anywhere; `details["reason"]` says why, for programs."""

    code = "UNSAFE_NAME"


class Placed(NamedTuple):
    """Where a file lies below a workspace, and where it is written.

    Attributes:
        remote: Its path below the workspace, spelled as there.
        local: Its path below the folder here, in Unicode's composed form (NFC).
    """

    remote: str
    local: str


def session_id(text: str) -> str:
    """A session's id in the one spelling that goes into URLs, names of files and leases: a UUID in lower case.

    Raises:
        BadInput: it is no UUID; the server would take it for a path.
    """
    if not SESSION_ID.fullmatch(text):
        raise BadInput(
            f"{_shown(text)} is no session id",
            fix="give the UUID from the session's address, as 01234567-89ab-cdef-0123-456789abcdef",
            field="session_id",
        )
    return text.lower()


def placed(name: str, roots: Sequence[str] = (), *, field: str = "name") -> Placed:
    """Where a file is that somebody names who may wish us ill.

    Args:
        name: As it was given: relative, or absolute within one of the roots.
        roots: Paths of the workspace itself, as the server tells them; `/workspace` of Docker is always one.
        field: What the name stands in, for the error.

    Raises:
        UnsafeName: it leads elsewhere, or not every system would keep it as it is.
    """
    _whole(name, field)
    below = _below(name, roots, field)
    if below.endswith("/"):
        raise _refused(name, "folder", "it names a folder", field, fix="name the files in it")
    remote = [part for part in below.split("/") if part not in ("", ".")]
    local = [unicodedata.normalize("NFC", part) for part in remote]
    if not local:
        raise _refused(name, "empty", "it names no file", field)
    for part in local:
        _plain_part(name, part, field)
    _short(name, local, field)
    return Placed("/".join(remote), "/".join(local))


def upload_name(name: str) -> str:
    """The name under which a local file is sent: its last part in NFC, what has a meaning elsewhere replaced by `_`.

    Raises:
        UnsafeName: no name is left, or one that is reserved or too long.
    """
    last = name.rsplit("/", 1)[-1]
    halves = "".join("_" if unicodedata.category(char) == "Cs" else char for char in last)
    cleaned = NOT_SENT.sub("_", INVISIBLE.sub("_", unicodedata.normalize("NFC", halves)))
    cleaned = "".join("_" if _unprinted(char) else char for char in cleaned).strip().rstrip(". ")
    return placed(cleaned, field="upload").local


def twin_key(local: str) -> str:
    """Equal for paths that a file system takes for one that ignores case, or how letters are composed."""
    folded = unicodedata.normalize("NFD", local).casefold()
    return unicodedata.normalize("NFD", folded)


class Claims:
    """Names already given, so that no two files are written over each other, here or where they are copied to.

    Args:
        taken: Paths that there are.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._files: dict[str, str] = {}
        self._folders: dict[str, str] = {}
        for local in taken:
            self._note(local)

    def claim(self, local: str, *, field: str = "name") -> None:
        """Take a path.

        Raises:
            UnsafeName: another file has it, or one that differs only in case or composition, or one of the two is a
                folder of the other.
        """
        key = twin_key(local)
        if (other := self._files.get(key)) is not None:
            how = (
                "another file has it" if other == local else f"{_shown(other)} is the same but for case or composition"
            )
            raise _refused(local, "twin", how, field)
        inner = self._folders.get(key)
        outer = next((self._files[above] for above in _above(key) if above in self._files), None)
        if inner or outer:
            raise _refused(local, "twin", f"{_shown(inner or outer or '')} needs the same name as a folder", field)
        self._note(local)

    def _note(self, local: str) -> None:
        key = twin_key(local)
        self._files[key] = local
        for above in _above(key):
            self._folders.setdefault(above, local)


def _above(key: str) -> list[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _whole(name: str, field: str) -> None:
    """What no name has, wherever it lies."""
    if len(name) > LONGEST_GIVEN:
        raise _refused(name, "long", f"it has more than {LONGEST_GIVEN} characters", field, fix="shorten the name")
    if any(_unprinted(char) for char in name) or INVISIBLE.search(name):
        raise _refused(name, "characters", "it has characters that are not seen", field)
    if "\\" in name:
        raise _refused(name, "backslash", "it has a backslash", field, fix="join folders with /")
    if any(part.strip() == ".." for part in name.split("/")):
        raise _refused(name, "outside", "it has .. in it", field, fix="name a file within the workspace")


def _below(name: str, roots: Sequence[str], field: str) -> str:
    """The name without the workspace's own path."""
    if not name.startswith("/"):
        return name
    parts = _parts(name)
    for root in sorted((*roots, IN_DOCKER), key=len, reverse=True):
        if root.startswith("/") and parts[: len(_parts(root))] == _parts(root):
            rest = "/".join(parts[len(_parts(root)) :])
            return f"{rest}/" if name.endswith("/") and rest else rest
    raise _refused(name, "outside", "it lies outside of the workspace", field, fix="name a file within the workspace")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _plain_part(name: str, part: str, field: str) -> None:
    if part != part.strip() or part.endswith("."):
        raise _refused(name, "ends", "a part of it begins or ends with a blank, or ends with a dot", field)
    if ":" in part:
        raise _refused(name, "colon", "it has a colon, as drives and streams of Windows have", field)
    if DEVICE.fullmatch(part):
        raise _refused(name, "reserved", f"Windows takes {_shown(part)} for a device", field)
    if twin_key(part) == ".git" or re.fullmatch(r"git~\d", part, re.IGNORECASE):
        raise _refused(name, "reserved", "git runs what lies in .git", field)


def _short(name: str, local: Sequence[str], field: str) -> None:
    for too_long, what in (
        (len("/".join(local)) > LONGEST_NAME, f"it has more than {LONGEST_NAME} characters"),
        (len(local) > MOST_DEEP, f"it lies more than {MOST_DEEP} folders deep"),
        (any(len(part.encode()) > LONGEST_PART_BYTES for part in local), f"a part has over {LONGEST_PART_BYTES} bytes"),
    ):
        if too_long:
            raise _refused(name, "long", what, field, fix="shorten the name")


def _unprinted(char: str) -> bool:
    return unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _refused(name: str, reason: str, why: str, field: str, *, fix: str = "rename the file") -> UnsafeName:
    return UnsafeName(f"the name {_shown(name)} is not used: {why}", fix=fix, field=field, reason=reason)


def _shown(name: str) -> str:
    return f"«{cut(plain(name), 120)}»"
