"""Logs of CI jobs, read once from beginning to end: the lines that tell of errors, and the frames of stacks."""

import re
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from blocks.errors import BadInput, NotFound
from blocks.model import Frozen
from tasks.ops.ci.causes import LOG_SHARE, Text, is_sign, may_tell

LINE_BYTES = 4096
"""Of a line, its beginning; the rest is passed over."""

FIRST, LAST = 200, 200
"""So many telling lines are kept of the beginning and of the end of a log."""

COLOUR = re.compile(r"\x1b\[[0-9;?]{0,20}[A-Za-z]|\x1b\][^\x07]{0,200}\x07")
STAMP = re.compile(r"^\[?\d{4}-\d\d-\d\d[T ][\d:.,]{5,18}(Z|[+-]\d\d:?\d\d)?\]?\s?")
TELLING = re.compile(
    r"\b(ERROR|FATAL|FAILED|FAIL|CRITICAL|panic|Traceback|Caused by|[A-Z]\w{0,60}(Error|Exception))\b|^E  |##\[error\]"
)
MAY_BE_FRAME = re.compile(r'File "|\.py:\d|\bat |\.go:\d')
"""A line that has none of these is no frame."""

FRAMES = (
    re.compile(r'^\s*File "(?P<file>[^"]{1,300})", line (?P<line>\d{1,7})(, in (?P<name>\S{1,120}))?'),
    re.compile(r"^(?P<file>[\w./+-]{1,300}\.py):(?P<line>\d{1,7}): "),
    re.compile(r"^\s*at (?P<name>[\w.$<>]{1,200})\((?P<file>[\w$]{1,120}\.(java|kt|scala)):(?P<line>\d{1,7})\)"),
    re.compile(r"^\s*at (?:(?P<name>[\w.$<> ]{1,120}) \()?(?P<file>[^\s()]{1,300}\.[cm]?[jt]sx?):(?P<line>\d{1,7}):\d"),
    re.compile(r"^\s*(?P<file>[\w./@-]{1,300}\.go):(?P<line>\d{1,7})\b"),
)


class Frame(Frozen):
    """A line of a stack.

    Attributes:
        file: Of the source.
        line: In it, from 1.
        name: Of the function, where it is told.
    """

    file: str
    line: int
    name: str = ""


class MinedLog(Frozen):
    """What a log tells.

    Attributes:
        log: The file.
        lines: How many it has.
        telling: The lines that tell of errors, with their numbers.
        frames: Of the stack that stands last.
    """

    log: str
    lines: int
    telling: tuple[tuple[int, str], ...]
    frames: tuple[Frame, ...]

    def text(self) -> Text:
        """Its telling lines, as the table of causes reads them."""
        return Text(self.log, self.telling, LOG_SHARE)


def mine_log(path: Path) -> MinedLog:
    """What a log tells; its size does not matter.

    Raises:
        NotFound, BadInput: it is not there, or cannot be read.
    """
    try:
        with path.open("rb") as stream:
            return mined(_lines(stream), str(path))
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="check the path", field="logs") from error
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}", fix="give a text file", field="logs") from error


def mined(lines: Iterable[str], name: str) -> MinedLog:
    """What lines tell."""
    first: list[tuple[int, str]] = []
    last: deque[tuple[int, str]] = deque(maxlen=LAST)
    frames: deque[tuple[int, Frame]] = deque(maxlen=40)
    number = 0
    for number, raw in enumerate(lines, start=1):
        tells, may_be_frame = may_tell(raw) or "\x1b" in raw, MAY_BE_FRAME.search(raw)
        if not tells and not may_be_frame:
            continue
        line = bare(raw)
        if (frame := frame_in(line)) is not None:
            frames.append((number, frame))
        if tells and (TELLING.search(line) or is_sign(line)):
            (first if len(first) < FIRST else last).append((number, line))
    return MinedLog(log=name, lines=number, telling=(*first, *last), frames=_last_stack(frames))


def bare(line: str) -> str:
    """A line without colours and without the time that CI puts before it."""
    return STAMP.sub("", COLOUR.sub("", line)).rstrip()


def frame_in(line: str) -> Frame | None:
    """The frame of a stack that a line is, if it is one."""
    for pattern in FRAMES:
        if match := pattern.match(line):
            found = match.groupdict()
            return Frame(file=found["file"], line=int(found["line"]), name=found.get("name") or "")
    return None


def _last_stack(frames: Iterable[tuple[int, Frame]]) -> tuple[Frame, ...]:
    """The frames that stand together at the end; between two of them is at most some source."""
    stack: list[tuple[int, Frame]] = []
    for number, frame in frames:
        if stack and number - stack[-1][0] > 6:
            stack = []
        stack.append((number, frame))
    return tuple(frame for _, frame in stack)


def _lines(stream: BinaryIO) -> Iterator[str]:
    while chunk := stream.readline(LINE_BYTES):
        rest = chunk
        while not rest.endswith(b"\n") and (rest := stream.readline(1 << 20)):
            pass
        yield chunk.decode(errors="replace").rstrip("\r\n")
