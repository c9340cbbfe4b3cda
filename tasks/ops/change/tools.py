"""Static tools: what is installed is run on the changed files, in a sandbox, before any rule of ours.

A tool is a row: how it is called, and how its JSON is read. Their settings come with the change, and some of them run
code of it (plugins of mypy): that is why they run in a sandbox without network, on a copy.
"""

import json
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from posixpath import normpath
from typing import Any, cast

from blocks.model import Frozen
from blocks.sandbox import SandboxLimits
from tasks.ops.change.result import Severity

GIB = 1 << 30
SYSTEM_PATH = "/usr/local/bin:/usr/bin:/bin"
INSIDE = "/workspace/"
MESSAGE_CHARS = 500


class Said(Frozen):
    """What a tool says of a line."""

    file: str
    line: int
    code: str
    severity: Severity
    message: str


Read = Callable[[Any], Iterator[Said]]


@dataclass(frozen=True)
class Tool:
    """A static tool.

    Attributes:
        name: Its program.
        suffixes: Of the files it looks at.
        options: Before the files.
        read: Reads what it writes.
        instead_of: It runs only where this one is not there.
        memory_bytes: It may use; Node.js reserves far more than it uses.
        comes_from: `pip`, or the command that installs it.
    """

    name: str
    suffixes: tuple[str, ...]
    options: tuple[str, ...]
    read: Read
    instead_of: str = ""
    memory_bytes: int = 4 * GIB
    comes_from: str = "pip"

    @property
    def to_have_it(self) -> str:
        """How a person gets it, where it is absent."""
        if self.comes_from == "pip":
            return f"to have it: {sys.executable} -m pip install {self.name}"
        return f"to have it: {self.comes_from}"

    def limits(self) -> SandboxLimits:
        """What it may use."""
        return SandboxLimits(
            memory_bytes=self.memory_bytes, cpu_s=300, wall_s=300, output_bytes=16_000_000, processes=128
        )

    def path(self) -> str | None:
        """Where it is: beside our own Python, or among the system's programs; None: nowhere."""
        return shutil.which(self.name, path=f"{Path(sys.executable).parent}:{SYSTEM_PATH}")


def _ruff(told: Any) -> Iterator[Said]:
    for one in told:
        code = str(one.get("code") or "syntax")
        yield Said(
            file=_path(one["filename"]),
            line=int(one["location"]["row"]),
            code=code,
            severity=_of_ruff(code),
            message=_text(one["message"]),
        )


def _of_ruff(code: str) -> Severity:
    if code.startswith(("E9", "F63", "F7", "F82", "PLE", "syntax", "invalid")):
        return "high"
    return "medium" if code.startswith(("B", "S", "BLE")) else "low"


def _pyright(told: Any) -> Iterator[Said]:
    for one in told["generalDiagnostics"]:
        rule = str(one.get("rule") or "error")
        if rule.startswith("reportMissing") or one["severity"] == "information":
            continue  # what the project depends on is not in the sandbox
        severe: Severity = "high" if rule == "reportUndefinedVariable" else "medium"
        yield Said(
            file=_path(one["file"]),
            line=int(one["range"]["start"]["line"]) + 1,
            code=rule,
            severity=severe if one["severity"] == "error" else "low",
            message=_text(one["message"]),
        )


def _mypy(told: Any) -> Iterator[Said]:
    for one in told:
        if one["severity"] == "error":
            yield Said(
                file=_path(one["file"]),
                line=int(one["line"]),
                code=str(one.get("code") or "error"),
                severity="medium",
                message=_text(one["message"]),
            )


def _bandit(told: Any) -> Iterator[Said]:
    levels: dict[str, Severity] = {"HIGH": "high", "MEDIUM": "medium"}
    for one in told["results"]:
        yield Said(
            file=_path(one["filename"]),
            line=int(one["line_number"]),
            code=str(one["test_id"]),
            severity=levels.get(one["issue_severity"], "low"),
            message=_text(one["issue_text"]),
        )


def _shellcheck(told: Any) -> Iterator[Said]:
    levels: dict[str, Severity] = {"error": "high", "warning": "medium"}
    for one in told["comments"]:
        yield Said(
            file=_path(one["file"]),
            line=int(one["line"]),
            code=f"SC{one['code']}",
            severity=levels.get(one["level"], "low"),
            message=_text(one["message"]),
        )


PYTHON, SHELL = (".py", ".pyi"), (".sh", ".bash")
TOOLS: tuple[Tool, ...] = (
    Tool("ruff", PYTHON, ("check", "--output-format=json", "--no-cache", "--exit-zero", "--"), _ruff),
    Tool("pyright", PYTHON, ("--outputjson",), _pyright, memory_bytes=64 * GIB),
    Tool(
        "mypy",
        PYTHON,
        ("--output=json", "--ignore-missing-imports", "--cache-dir=/dev/null", "--"),
        _mypy,
        instead_of="pyright",
    ),
    Tool("bandit", (".py",), ("--format=json", "--quiet", "--exit-zero"), _bandit),
    Tool("shellcheck", SHELL, ("--format=json1", "--"), _shellcheck, comes_from="apt-get install shellcheck"),
)


def argv_of(tool: Tool, path: str, files: Sequence[str]) -> tuple[str, ...]:
    """A tool's command; no name is taken for an option."""
    return (path, *tool.options, *(f"./{file}" for file in files))


def said_by(tool: Tool, output: str) -> list[Said]:
    """What a tool says. Raises `ValueError` for what is not its JSON."""
    try:
        if tool.name == "mypy":  # an object a line
            told: Any = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        else:
            told = json.loads(output)
        return list(tool.read(told))
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"its JSON has another form: {error!r:.100}") from None


def folders_of_python() -> tuple[Path, ...]:
    """What our own Python needs in a sandbox, beside the system."""
    prefixes = (Path(sys.prefix), Path(sys.base_prefix).resolve())
    return tuple(dict.fromkeys(path for path in prefixes if not path.is_relative_to("/usr")))


def _path(name: str) -> str:
    return normpath(str(name).removeprefix(INSIDE))  # bandit writes ././a.py


def _text(message: Any) -> str:
    return " ".join(cast(str, message).split())[:MESSAGE_CHARS]
