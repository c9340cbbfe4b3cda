"""What an II-Agent server says: a type for each kind of event, and one for those that nobody knows yet."""

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Frame = dict[str, Any]
"""`{"type": str, "content": {…}}`, as it is on the wire and in the stored history."""


class Event(BaseModel):
    """An event; its fields are those of the frame's content, and what else is there is dropped."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    name: ClassVar[str] = ""

    @property
    def type(self) -> str:
        """Its name on the wire."""
        return self.name


class ConnectionEstablished(Event):
    """The first frame of a socket; the last part of the path is the session's id."""

    name: ClassVar[str] = "connection_established"
    message: str = ""
    workspace_path: str


class AgentInitialized(Event):
    """The agent is made."""

    name: ClassVar[str] = "agent_initialized"
    message: str = ""
    vscode_url: str | None = None


class Processing(Event):
    """A query was taken."""

    name: ClassVar[str] = "processing"
    message: str = ""


class AgentThinking(Event):
    """What the model wrote beside its call of a tool."""

    name: ClassVar[str] = "agent_thinking"
    text: str = ""


class ToolCall(Event):
    """The agent calls a tool; what it says to the user, too: the tool `message_user`."""

    name: ClassVar[str] = "tool_call"
    tool_call_id: str = ""
    tool_name: str
    tool_input: dict[str, Any] = {}


class ToolResult(Event):
    """What a tool answered: a text, or blocks, of which images may have megabytes."""

    name: ClassVar[str] = "tool_result"
    tool_call_id: str = ""
    tool_name: str = ""
    result: Any = None


class FileEdit(Event):
    """A file as a whole, after an edit."""

    name: ClassVar[str] = "file_edit"
    path: str
    content: str = ""
    total_lines: int | None = None


class BrowserUse(Event):
    """A step in a browser."""

    name: ClassVar[str] = "browser_use"


class AgentResponse(Event):
    """A run ended. The text is nearly always "Task completed", whatever was done."""

    name: ClassVar[str] = "agent_response"
    text: str = ""

    @property
    def ends_run(self) -> bool:
        """Whether it has a text at all; that with which /compact ends has none."""
        return "text" in self.model_fields_set


class AgentResponseInterrupted(Event):
    """A run ended as it was cancelled, or its socket lost."""

    name: ClassVar[str] = "agent_response_interrupted"
    text: str = ""


class SystemMessage(Event):
    """A word of the server, as on a cancellation."""

    name: ClassVar[str] = "system"
    message: str = ""
    kind: str | None = Field(default=None, alias="type")
    summary: Any = None


class ServerError(Event):
    """Something failed; a run that went on has ended."""

    name: ClassVar[str] = "error"
    message: str = ""


class WorkspaceInfo(Event):
    """Where the workspace is."""

    name: ClassVar[str] = "workspace_info"
    path: str = ""


class Pong(Event):
    """The answer to an application ping."""

    name: ClassVar[str] = "pong"


class PromptGenerated(Event):
    """The answer to `enhance_prompt`."""

    name: ClassVar[str] = "prompt_generated"
    result: str = ""
    original_request: str = ""


class StreamComplete(Event):
    """The end of a slash command; never that of a run."""

    name: ClassVar[str] = "stream_complete"


class UploadSuccess(Event):
    """A file was taken."""

    name: ClassVar[str] = "upload_success"


class UserMessage(Event):
    """A query; only in the stored history."""

    name: ClassVar[str] = "user_message"
    text: str = ""


class UnknownEvent(Event):
    """What this client does not know, or not of this form: a newer server's, and never a reason to fail.

    Attributes:
        named: Its type on the wire; empty where it had none.
        content: All of its content, or what came instead.
    """

    named: str = ""
    content: Any = None

    @property
    def type(self) -> str:
        """Its name on the wire."""
        return self.named


KNOWN: dict[str, type[Event]] = {kind.name: kind for kind in Event.__subclasses__() if kind.name}
"""By name on the wire."""

ENDS_STORED = (AgentResponse, AgentResponseInterrupted)
"""With one of these a run ends that the stored history shows."""

STORED = frozenset(
    kind.name for kind in (UserMessage, AgentThinking, ToolCall, ToolResult, FileEdit, BrowserUse, *ENDS_STORED)
)
"""What the server keeps. Not errors: after one the last stored event may be the query itself."""

ENDS = (*ENDS_STORED, ServerError)
"""With one of these a run ends."""


def parse_event(frame: object) -> Event:
    """The event of a frame; what cannot be understood is an `UnknownEvent`."""
    if not isinstance(frame, dict):
        return UnknownEvent(content=frame)
    told: Frame = frame  # pyright: ignore[reportUnknownVariableType]
    named, content = told.get("type"), told.get("content", {})
    if not isinstance(named, str):
        return UnknownEvent(content=told)
    kind = KNOWN.get(named)
    if kind is not None:
        try:
            return kind.model_validate({} if content is None else content)
        except ValidationError:
            pass
    return UnknownEvent(named=named, content=content)
