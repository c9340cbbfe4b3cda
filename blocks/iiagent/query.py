"""What is sent for a prompt: first as it is; after an interruption restated, as the history may be lost."""

from typing import NamedTuple

from blocks.errors import BadInput, TooLarge
from blocks.iiagent.state import RunningTurn

GO_ON = """\
You were interrupted while you worked on the task below. What you have made is still in your workspace: look at it \
first, keep what is done, do only what is missing, and then end as the task says. The task was:

{text}"""


class Query(NamedTuple):
    """A query.

    Attributes:
        text: What is sent; never a command of the server.
        resume: Whether the conversation before counts.
        files: Files that go with it.
        again: Whether it goes on with what an earlier query began.
    """

    text: str
    resume: bool
    files: tuple[str, ...] = ()
    again: bool = False


def first_query(running: RunningTurn) -> Query:
    """The query that a turn begins with."""
    return Query(_no_command(running.text), running.resume, running.files)


def next_query(running: RunningTurn, *, resume: bool = True) -> Query:
    """The query that a turn goes on with, or begins with where none was sent."""
    if not running.query:
        return first_query(running)
    return Query(GO_ON.format(text=running.text), resume, running.files, again=True)


def check_prompt(text: str, most_bytes: int) -> None:
    """Raises `BadInput` or `TooLarge` for a prompt that cannot be sent."""
    if not text.strip():
        raise BadInput("the prompt is empty", fix="say what the agent shall do", field="prompt")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise BadInput(
            "the prompt has characters that are none (half of a pair)", fix="look at its encoding", field="prompt"
        ) from None
    if size > most_bytes:
        told = f"the prompt has {size} bytes, and a server takes {most_bytes}"
        raise TooLarge(told, fix="send the material as files", field="prompt")


def _no_command(text: str) -> str:
    # The server takes what begins with a slash for a command of its own.
    return f"Task: {text}" if text.lstrip().startswith("/") else text
