"""Turns: the model is asked, and answers with one call of a tool, with text, or with an error."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tests.fakes.iiagent.step import Ending, Step

if TYPE_CHECKING:
    from tests.fakes.iiagent.agent import Agent

COMPLETED = "Task completed"
MAX_TURNS = "Agent did not complete after max turns"

EDITOR = "str_replace_editor"
SHELL = "shell_exec"
MESSAGE = "message_user"
RETURN = "return_control_to_user"


@dataclass
class Call(Step):
    """Call a tool."""

    name: str
    input: dict[str, Any] = field(default_factory=dict)
    result: Any = "ok"

    @property
    def tool_name(self) -> str:
        """The tool that it calls."""
        return self.name

    async def play(self, agent: "Agent") -> None:
        """Show the call and what it gave."""
        await agent.call(self.name, self.input, self.result)


@dataclass
class Say(Step):
    """A message to the user: the only way in which a real agent answers."""

    text: str
    tool: ClassVar[str] = MESSAGE

    async def play(self, agent: "Agent") -> None:
        """Send it."""
        await agent.call(MESSAGE, {"text": self.text}, "Sent message to user")


@dataclass
class Write(Step):
    """Write a file in the workspace.

    Attributes:
        path: Below the workspace.
        content: The whole file.
        shell: With the shell, which may replace a file and which no `file_edit` shows. The editor refuses to create a
            file where one with content is.
    """

    path: str
    content: str | bytes
    shell: bool = False
    tool: ClassVar[str] = EDITOR

    async def play(self, agent: "Agent") -> None:
        """Write it, and show it."""
        path = agent.session.workspace / self.path
        shown = f"{agent.session.shown_root}/{self.path}"
        data = self.content.encode() if isinstance(self.content, str) else self.content
        if self.shell or isinstance(self.content, bytes):
            _write(path, data)
            await agent.call(SHELL, {"command": f"make {self.path}"}, "")
            return
        called = {"command": "create", "path": shown, "file_text": self.content}
        if path.exists() and path.stat().st_size:
            refused = f"File already exists and is not empty at: {shown}. Cannot overwrite non empty files"
            await agent.call(EDITOR, called, refused)
            return
        _write(path, data)
        edit = {"path": shown, "content": self.content, "total_lines": len(self.content.splitlines())}
        await agent.call(EDITOR, called, f"File created successfully at: {shown}", edit)


@dataclass
class Append(Step):
    """Add to the end of a file with the editor: a `file_edit` shows the whole file."""

    path: str
    content: str
    tool: ClassVar[str] = EDITOR

    async def play(self, agent: "Agent") -> None:
        """Write it, and show it."""
        path = agent.session.workspace / self.path
        before = path.read_text() if path.exists() else ""
        whole = before + self.content
        _write(path, whole.encode())
        shown = f"{agent.session.shown_root}/{self.path}"
        lines = len(before.splitlines())
        called = {"command": "insert", "path": shown, "insert_line": lines, "new_str": self.content}
        edit = {"path": shown, "content": whole, "total_lines": len(whole.splitlines())}
        await agent.call(EDITOR, called, f"The file {shown} has been edited.", edit)


@dataclass
class Done(Step):
    """Give control back: the normal end."""

    tool: ClassVar[str] = RETURN

    async def play(self, agent: "Agent") -> None:
        """End."""
        await agent.call(RETURN, {}, COMPLETED)
        await agent.emit("agent_response", {"text": COMPLETED})
        raise Ending("done")


@dataclass
class Stop(Step):
    """An answer without a call of a tool, or none at all: a run ends so too, and says that all is done."""

    text: str = ""

    async def play(self, agent: "Agent") -> None:
        """End."""
        if self.text:
            await agent.think(self.text)
        await agent.emit("agent_response", {"text": COMPLETED})
        raise Ending("silent")


@dataclass
class Fail(Step):
    """The model's provider answers with an error; the history of this run is never saved.

    Attributes:
        status: Its HTTP status; 0: `message` is all that is told.
        message: What it says.
    """

    status: int = 0
    message: str = "failed"

    async def play(self, agent: "Agent") -> None:
        """End."""
        told = {"error": {"message": self.message, "code": self.status}}
        text = f"Error code: {self.status} - {told}" if self.status else self.message
        await agent.emit("error", {"message": f"Error running agent: {text}"})
        raise Ending("error", saves=False)


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
