"""Some lines of a template, with what stands around them."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

LINE_BYTES = 400
"""Of each line that is shown."""


@dataclass
class Sample:
    """A line in its place.

    Attributes:
        file: Its file's name.
        line: Its number there, from 1 on; counted from where the analysis began.
        before: The lines before it.
        text: The line.
        after: The lines behind it.
    """

    file: str
    line: int
    before: list[bytes]
    text: bytes
    after: list[bytes] = field(default_factory=list[bytes])


class Sampler:
    """Takes samples out of blocks of lines that follow each other.

    Args:
        context: Lines before and behind each.
    """

    def __init__(self, context: int) -> None:
        self._context = context
        self._tail: deque[bytes] = deque(maxlen=context or 1)
        self._waiting: list[Sample] = []
        self._file, self._passed = "", 0

    def begin(self, file: str) -> None:
        """Another file begins."""
        self._file, self._passed = file, 0
        self._tail.clear()
        self._waiting.clear()

    def fill(self, lines: Sequence[bytes]) -> None:
        """Give what ended with the last block the lines that it still lacks."""
        for one in self._waiting:
            one.after += [_cut(line) for line in lines[: self._context - len(one.after)]]
        self._waiting = [one for one in self._waiting if len(one.after) < self._context]

    def take(self, lines: Sequence[bytes], index: int) -> Sample:
        """A line of the block in hand, as a sample."""
        context = self._context
        before = list(lines[max(0, index - context) : index])
        if context and len(before) < context:
            before = [*self._tail, *before][-context:]
        sample = Sample(
            self._file,
            self._passed + index + 1,
            [_cut(line) for line in before],
            _cut(lines[index]),
            [_cut(line) for line in lines[index + 1 : index + 1 + context]],
        )
        if len(sample.after) < context:
            self._waiting.append(sample)
        return sample

    def end_block(self, lines: Sequence[bytes]) -> None:
        """The block in hand ends."""
        self._passed += len(lines)
        if self._context:
            self._tail.extend(lines[-self._context :])


def _cut(line: bytes) -> bytes:
    return line if len(line) <= LINE_BYTES else line[:LINE_BYTES] + "…".encode()
