"""What of an analysis is kept in the store."""

from collections.abc import Callable

from pydantic import Field

from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.ops.logs.levels import Level
from tasks.ops.logs.samples import Sample


class ShownSample(Frozen):
    """A line in its place, as people see it: without secrets, control characters escaped.

    Attributes:
        file: Its file's name.
        line: Its number there, counted from where the analysis began.
        before, after: The lines around it.
        text: The line.
    """

    file: str
    line: int
    before: tuple[str, ...]
    text: str
    after: tuple[str, ...]

    def taken(self) -> Sample:
        """As samples are while an analysis goes on."""
        before, after = [line.encode() for line in self.before], [line.encode() for line in self.after]
        return Sample(self.file, self.line, before, self.text.encode(), after)


class SavedTemplate(Frozen):
    """See `tasks.ops.logs.templates.Template`; `words` as the miner has them."""

    number: int
    level: Level
    words: tuple[str, ...]
    count: int
    peak: int
    peak_window: int | None
    base_count: int
    base_peak: int
    samples: tuple[ShownSample, ...]


class SavedWindow(Frozen):
    """See `tasks.ops.logs.windows.Window`."""

    window: int
    lines: int
    errors: int
    top: tuple[tuple[int, int], ...]


class SavedAnalysis(Frozen):
    """What was known of a log; see `tasks.ops.logs.analysis.Analysis`.

    Attributes:
        usual: Errors in a usual window, and how many windows had so many.
    """

    templates: tuple[SavedTemplate, ...] = ()
    usual: tuple[tuple[int, int], ...] = ()
    windows: tuple[SavedWindow, ...] = ()
    levels: dict[Level, int] = Field(default_factory=dict[Level, int])
    lines: int = 0
    base_lines: int = 0
    timed: bool = False
    in_baseline: bool = False


class Mark(Frozen):
    """How far a file was read, and how it is known again.

    Attributes:
        head_bytes, head: Length and SHA-256 of its uncompressed beginning.
        tail_bytes, tail: The same of what stands before `offset`.
        offset: Behind the last line that was read, in its uncompressed bytes.
    """

    head_bytes: int
    head: str
    tail_bytes: int
    tail: str
    offset: int


class LogState(Frozen):
    """An analysis that later ones go on from.

    Attributes:
        run_id: Of the run that wrote it.
        ended: Whether that run came to its end; else its counts are gone on with.
        marks: How far each file was read, by its path.
        analysis: What was known.
    """

    run_id: str = ""
    ended: bool = True
    marks: dict[str, Mark] = Field(default_factory=dict[str, Mark])
    analysis: SavedAnalysis = SavedAnalysis()


def shown(sample: Sample, redact: Callable[[str], str]) -> ShownSample:
    """A sample as people see it."""
    lines = [*sample.before, sample.text, *sample.after]
    whole = redact("\n".join(line.decode("utf-8", "replace").rstrip("\r") for line in lines)).split("\n")
    if len(whole) != len(lines):  # a key over several lines was taken out
        whole = [redact(line.decode("utf-8", "replace").rstrip("\r")) for line in lines]
    at = len(sample.before)
    texts = tuple(plain(line) for line in whole)
    return ShownSample(
        file=plain(sample.file), line=sample.line, before=texts[:at], text=texts[at], after=texts[at + 1 :]
    )
