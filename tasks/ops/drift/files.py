"""Files and folders against what is declared of them."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import Any

from blocks.action import Touched
from blocks.errors import EngineFailed
from blocks.model import Frozen
from tasks.ops.drift.change import Change, Command, On, Seen, Undo, changed_since
from tasks.ops.drift.declared import DeclaredFile, OnlyDeclared
from tasks.ops.drift.found import Difference, Found, difference, not_known, state_of, text_diff

KINDS = {"regular file": "file", "regular empty file": "file", "directory": "folder", "symbolic link": "link"}
READ_BYTES = 500_000
"""Of larger files only the hash is looked at."""

ABSENT = ("No such file or directory", "Not a directory")
NOT_THERE = 1
"""With this code `stat` ends where there is no such file; what could not be run at all ends with others."""


class Actual(Frozen):
    """A file as it is.

    Attributes:
        kind: `file`, `folder`, `link`, or what `stat` calls it; `absent`: there is none.
        mode, owner, group: Its rights, octal, and whose it is.
        uid, gid: The numbers of these, which need not have names.
        size_bytes: Of its content.
        sha256: Of its content; empty: there is none, or nobody asked for it.
    """

    kind: str
    mode: str = ""
    owner: str = ""
    group: str = ""
    uid: int = 0
    gid: int = 0
    size_bytes: int = 0
    sha256: str = ""

    @property
    def owners(self) -> str:
        """Whose it is, for `chown`: in numbers, which are not taken for names."""
        return f"+{self.uid}:+{self.gid}"


async def look_at_file(on: On, target: str, file: DeclaredFile) -> Seen:
    """A file against what is declared of it."""
    facts: dict[str, Any] = {"target": target, "host": on.host.name, "kind": "file", "name": file.path}
    try:
        is_read = file.correct or file.content is not None or file.sha256 is not None
        actual = await actual_file(on, file.path, hashed=is_read)
        differences = list(_differences(file, actual))
        diff = await _content_diff(on, file, actual, differences)
    except EngineFailed as error:
        return Seen(Found(**facts, state="unknown", why=error.message))
    if file.state == "absent":
        state = "same" if actual.kind == "absent" else "unexpected"
    else:
        state = "missing" if actual.kind == "absent" else state_of(differences)
    if state in ("same", "missing", "unexpected"):
        differences, diff = [], ""
    found = Found(**facts, state=state, differences=tuple(differences), diff=diff, safe=file.correct)
    return Seen(found, None if state == "same" else _change(file, actual))


async def look_for_others(on: On, target: str, only: OnlyDeclared, declared: Sequence[DeclaredFile]) -> list[Seen]:
    """What lies in a folder and is not declared."""
    facts: dict[str, Any] = {"target": target, "host": on.host.name, "kind": "file"}
    try:
        folder = await actual_file(on, only.path)
    except EngineFailed as error:
        return [Seen(Found(**facts, name=only.path, state="unknown", why=error.message))]
    if folder.kind != "folder":  # of a link `find` would tell nothing, as if nothing were there
        return [Seen(Found(**facts, name=only.path, state="unknown", why=f"it is {folder.kind}, and no folder"))]
    done = await on.look("find", only.path, "-mindepth", "1", "-maxdepth", "1", "-printf", "%f\\0")
    if why := not_known(done):
        return [Seen(Found(**facts, name=only.path, state="unknown", why=why))]
    inside = [PurePosixPath(one.path) for one in declared if PurePosixPath(one.path).is_relative_to(only.path)]
    known = {one.relative_to(only.path).parts[0] for one in inside if str(one) != only.path}
    seen: list[Seen] = []
    for name in sorted(done.stdout.split("\0")[:-1]):
        if name in known or any(fnmatchcase(name, pattern) for pattern in only.ignore):
            continue
        path = str(PurePosixPath(only.path, name))
        try:
            actual = await actual_file(on, path, hashed=only.correct)
        except EngineFailed as error:
            seen.append(Seen(Found(**facts, name=path, state="unknown", why=error.message)))
            continue
        found = Found(**facts, name=path, state="unexpected", safe=only.correct, why=f"a {actual.kind}")
        # A name that did not come as it is (bytes that are no UTF-8) would name another file.
        removable = actual.kind in ("file", "link") and "\ufffd" not in name
        seen.append(Seen(found, FileChange(path, None, actual) if removable else None))
    return seen


async def actual_file(on: On, path: str, *, hashed: bool = True) -> Actual:
    """A file as it is; links are not followed. Raises `EngineFailed`, `EngineUnavailable`."""
    # Names of a directory service hold blanks, as `domain users`; none holds a colon.
    done = await on.look("stat", "-c", "%a:%U:%G:%u:%g:%s:%F", "--", path)
    if done.exit_code == NOT_THERE and done.stderr.rstrip().endswith(ABSENT):
        return Actual(kind="absent")
    mode, owner, group, uid, gid, size, kind = done.checked().stdout.rstrip("\n").split(":", 6)
    kind = KINDS.get(kind, kind)
    return Actual(
        kind=kind,
        mode=mode,
        owner=owner,
        group=group,
        uid=int(uid),
        gid=int(gid),
        size_bytes=int(size),
        sha256=await _sha256(on, path) if hashed and kind == "file" else "",
    )


@dataclass(frozen=True)
class FileChange:
    """Puts a file in place, or away.

    Attributes:
        path: Where.
        file: As declared; None: it should not be there.
        seen: As it was when it was looked at.
    """

    path: str
    file: DeclaredFile | None
    seen: Actual

    @property
    def says(self) -> str:
        """See `Change`."""
        return f"put {self.path} {'away' if self.file is None else 'right'}"

    @property
    def tool(self) -> str:
        """See `Change`."""
        return "delete_file" if self.file is None else "write_file"

    @property
    def arguments(self) -> dict[str, Any]:
        """See `Change`."""
        declared = {} if self.file is None else self.file.model_dump(include={"mode", "owner", "group", "kind"})
        return {"path": self.path, **declared, "sha256": self._wanted, "before": self.seen.model_dump(mode="json")}

    @property
    def touched(self) -> Touched:
        """See `Change`."""
        return Touched(writes=(self.path,))

    @property
    def _wanted(self) -> str:
        """SHA-256 of the content that it should have; empty: that is not said."""
        content = None if self.file is None else self.file.content
        return "" if content is None else hashlib.sha256(content.encode()).hexdigest()

    async def keep(self, on: On) -> Undo:
        """See `Change`."""
        if self.seen.kind == "absent":
            program = "rmdir" if self.file is not None and self.file.kind == "folder" else "rm"
            return self._undo(Command(argv=(program, "--", self.path)))
        if self.seen.kind == "folder":
            return self._undo(*_rights(self.path, self.seen.mode, self.seen.owners))
        named = hashlib.sha256(f"{self.path}\0{self.seen.model_dump_json()}".encode()).hexdigest()
        kept = f"{on.keep}/{named[:24]}"
        await on.run(Command(argv=("install", "-d", "-m", "0700", "--", on.keep)))
        await on.run(Command(argv=("cp", "-a", "-T", "--", self.path, kept)))
        new = _beside(self.path)
        return self._undo(
            Command(argv=("cp", "-a", "-T", "--", kept, new)), Command(argv=("mv", "-f", "-T", "--", new, self.path))
        )

    async def apply(self, on: On) -> None:
        """See `Change`."""
        now = await actual_file(on, self.path)
        if self.file is None:
            if now.kind == "absent":
                return
            self._check(now)
            await on.run(Command(argv=("rm", "-f", "--", self.path)))
            return
        if (now.kind, now.sha256) != (self.file.kind, self._wanted or self.seen.sha256):
            self._check(now)
        for command in self._commands(self.file, now):
            await on.run(command)

    def _commands(self, file: DeclaredFile, now: Actual) -> list[Command]:
        owner = f"{file.owner or ''}:{file.group or ''}"
        if file.kind == "folder":
            return [Command(argv=("mkdir", "-p", "--", self.path)), *_rights(self.path, file.mode, owner)]
        if file.content is None or now.sha256 == self._wanted:
            return _rights(self.path, file.mode, owner)
        is_new = now.kind != "file"
        mode = file.mode or ("0644" if is_new else now.mode)
        owner = owner if is_new else f"{file.owner or f'+{now.uid}'}:{file.group or f'+{now.gid}'}"
        new = _beside(self.path)
        return [
            Command(argv=("install", "-m", "0600", "--", "/dev/null", new)),
            Command(
                argv=("dd", f"of={new}", "oflag=nofollow", "conv=notrunc,fsync", "status=none"), stdin=file.content
            ),
            *_rights(new, mode, owner),
            Command(argv=("mv", "-f", "-T", "--", new, self.path)),
        ]

    def _check(self, now: Actual) -> None:
        if (now.kind, now.sha256) != (self.seen.kind, self.seen.sha256):
            raise changed_since(self.path)

    def _undo(self, *commands: Command) -> Undo:
        is_content = self.seen.kind in ("file", "link") or (self.seen.kind == "absent" and bool(self._wanted))
        return Undo(
            commands=commands,
            path=self.path if is_content else None,
            sha256=self._wanted or (self.seen.sha256 if self.file is not None else ""),
            before_sha256=self.seen.sha256,
        )


def _change(file: DeclaredFile, actual: Actual) -> Change | None:
    """How a file is put right; None: it cannot be, by us."""
    if file.state == "absent":
        return FileChange(file.path, None, actual) if actual.kind in ("file", "link") else None
    if actual.kind == file.kind:
        return FileChange(file.path, file, actual)
    if actual.kind == "absent" or (file.kind == "file" and actual.kind == "link"):
        return FileChange(file.path, file, actual) if file.kind == "folder" or file.content is not None else None
    return None


def _differences(file: DeclaredFile, actual: Actual) -> list[Difference]:
    found: list[Difference] = []
    if actual.kind != file.kind:
        return [difference("kind", file.kind, actual.kind)]
    if file.mode is not None and int(file.mode, 8) != int(actual.mode, 8):
        found.append(difference("mode", file.mode.zfill(4), actual.mode.zfill(4)))
    whose = (("owner", file.owner, actual.owner, actual.uid), ("group", file.group, actual.group, actual.gid))
    for name, declared, there, number in whose:
        if declared is not None and declared not in (there, str(number)):
            found.append(difference(name, declared, there))
    wanted = file.sha256 or ("" if file.content is None else hashlib.sha256(file.content.encode()).hexdigest())
    if wanted and wanted != actual.sha256:
        found.append(Difference(field="sha256", declared=wanted, actual=actual.sha256))
    return found


async def _content_diff(on: On, file: DeclaredFile, actual: Actual, differences: Sequence[Difference]) -> str:
    if file.content is None or not any(one.field == "sha256" for one in differences):
        return ""
    if file.secret:
        return "the content differs, and is not shown"
    if actual.size_bytes > READ_BYTES:
        return f"the content differs, and is not shown: it has {actual.size_bytes} bytes"
    done = (await on.look("base64", "-w0", "--", file.path)).checked()
    try:
        return text_diff(file.content, base64.b64decode(done.stdout).decode())
    except ValueError:  # also of base64, where the file grew since it was measured
        return "the content differs, and is no text"


async def _sha256(on: On, path: str) -> str:
    # A name with a backslash or line break is told with escapes, and a backslash before all.
    told = (await on.look("sha256sum", "--", path)).checked().stdout
    return told.removeprefix("\\").split(" ", 1)[0]


def _rights(path: str, mode: str | None, owner: str) -> list[Command]:
    """Owner first: a change of it takes special rights away."""
    owned = [Command(argv=("chown", "-h", "--", owner, path))] if owner != ":" else []
    return owned + ([Command(argv=("chmod", mode, "--", path))] if mode is not None else [])


def _beside(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{hashlib.sha256(name.encode()).hexdigest()[:16]}.c500"
