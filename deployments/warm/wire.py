"""What a worker and its forkserver say to each other: one JSON object a line, over a socket pair."""

from typing import Literal

from pydantic import BaseModel, TypeAdapter


class Start(BaseModel):
    """Fork a process for a flow run.

    Attributes:
        key: Names this attempt.
        claim: The worker's claim on the run; it is executed only while that holds.
        work: `engine` executes the run; the others run the flow's hooks for a state that the worker gave the run.
        environment: The whole environment of the process.
        folder: Its working directory; None = a temporary one that goes with it.
        quiet: Whether what it writes to stdout and stderr is thrown away.
        hook_input: For hooks: the flow run and its state, each as JSON.
    """

    do: Literal["start"] = "start"
    key: str
    claim: str
    environment: dict[str, str]
    folder: str | None
    quiet: bool
    work: Literal["engine", "crashed", "cancellation"] = "engine"
    hook_input: tuple[str, str] | None = None


class Signal(BaseModel):
    """Signal the process group of a run."""

    do: Literal["signal"] = "signal"
    key: str
    number: int


class Tether(BaseModel):
    """An attempt that the worker started itself: end all its processes when the worker is gone."""

    do: Literal["tether", "untether"]
    key: str


class Ready(BaseModel):
    """The forkserver has loaded what it was to load.

    Attributes:
        failed: Modules that could not be imported, with the reason.
        roots: Folders and files of the code that it loaded and that may change under it.
    """

    say: Literal["ready"] = "ready"
    loaded: list[str]
    failed: dict[str, str]
    roots: list[str]


class Started(BaseModel):
    """The process of a run is there."""

    say: Literal["started"] = "started"
    key: str
    pid: int


class Ended(BaseModel):
    """The process of a run is gone, with all it had started.

    Attributes:
        code: Exit code; the negative number of the signal that ended it.
    """

    say: Literal["ended"] = "ended"
    key: str
    code: int


Request = Start | Signal | Tether
Report = Ready | Started | Ended

requests: TypeAdapter[Request] = TypeAdapter(Request)
reports: TypeAdapter[Report] = TypeAdapter(Report)


def line(message: BaseModel) -> bytes:
    """The message as it goes over the socket."""
    return message.model_dump_json().encode() + b"\n"
