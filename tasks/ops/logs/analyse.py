"""Analysing logs: read, remember how far, report."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from blocks.errors import BadInput, EngineFailed
from blocks.manifests import Held, Manifests
from blocks.progress import OnProgress, in_thread
from blocks.redact import Redactor
from blocks.store.files import Files
from tasks.ops.logs.analysis import Analysis
from tasks.ops.logs.blocks import opened
from tasks.ops.logs.marks import Reading, mark_at, readings
from tasks.ops.logs.report import FileRead, LogReport, markdown, report_of
from tasks.ops.logs.request import LogOptions
from tasks.ops.logs.saved import LogState, Mark
from tasks.ops.performer import Performer
from tasks.ops.worded import worded

STATES = "operations/logs/states"
REPORTS = "operations/logs/reports"

PIECE_BYTES = 32 << 20
"""Read at a time; then it is looked whether somebody stops it."""

KEEP_EVERY_BYTES = 512 << 20
"""A run that dies reads so much again."""


def states(files: Files) -> Manifests[LogState]:
    """What analyses go on from."""
    return Manifests(files, STATES, LogState, kind="log analysis")


async def analyse(
    performer: Performer, files: Files, paths: Sequence[Path], options: LogOptions, on_progress: OnProgress
) -> LogReport:
    """Analyse logs; with a named state, what is new in them since the last time.

    Args:
        performer: Whose run it is; a dry run keeps nothing.
        files: The store.
        paths: Of the logs, in their order of time.
        options: How.
        on_progress: Takes the share done.

    Raises:
        BadInput, NotFound, NotAllowed, Unsupported: a file cannot be read.
        Conflict: another process goes on with this state.
        Stopped: a switch stops it; what was read until then is kept.
    """
    if not paths:
        raise BadInput("no log is named", fix="give at least one path", field="paths")
    key = f"{REPORTS}/{performer.run_id}.json"
    if files.exists(key) and not _was_cut_off(files, options, performer.run_id):
        return LogReport.model_validate_json(files.read_bytes(key))
    with ExitStack() as stack:
        held: Held[LogState] | None = None
        before = LogState()
        if options.state is not None and not performer.dry_run:
            held = stack.enter_context(states(files).held(options.state, LogState()))
            before = held.state
        elif options.state is not None:
            before = states(files).find(options.state) or before
        work = LogWork(options, performer.redactor, performer.run_id, before, held)
        await in_thread(work.begin, paths)
        pieces = work.pieces()
        while await in_thread(_next, pieces, on_progress):
            await performer.check_stopped()
        report = report_of(work.analysis, performer.run_id, work.read, work.cut_lines)
        if report.new or report.spiking or report.bursts:
            report = await worded(performer, report, markdown(report))
        if not performer.dry_run:
            # First how far it came: the counts go on from there, and are in the report of whichever run is next.
            await in_thread(work.keep, ended=False)
            await in_thread(files.put_bytes, key, report.model_dump_json().encode(), "application/json")
            await in_thread(work.keep, ended=True)
        return report


def _was_cut_off(files: Files, options: LogOptions, run_id: str) -> bool:
    """Whether a run died after its report, before its state said that it had ended."""
    state = None if options.state is None else states(files).find(options.state)
    return state is not None and state.run_id == run_id and not state.ended


def _next(pieces: Iterator[float], on_progress: OnProgress) -> bool:
    """Read a piece; whether there was one."""
    for share in pieces:
        on_progress(share)
        return True
    return False


class LogWork:
    """An analysis at work.

    Args:
        options: How.
        redactor: Takes secrets out.
        run_id: Of the run.
        before: What an earlier analysis kept.
        held: Where this one is kept, if it is.
    """

    def __init__(
        self, options: LogOptions, redactor: Redactor, run_id: str, before: LogState, held: Held[LogState] | None
    ) -> None:
        self.analysis = Analysis(options, redactor, datetime.now(UTC).year)
        self.read: list[FileRead] = []
        self.cut_lines = 0
        self._options, self._run_id, self._before, self._held = options, run_id, before, held
        self._marks: dict[str, Mark] = dict(before.marks)
        self._readings: list[Reading] = []
        self._total = self._done = self._since_kept = 0

    def begin(self, paths: Sequence[Path]) -> None:
        """Find what is to be read, and go on from what was known. Raises errors of files that cannot be read."""
        encoding = self._options.encoding
        for path in (one.absolute() for one in paths):
            if self._options.state is None:
                found = [Reading(path)]
            else:
                found = readings(path, self._marks.get(str(path)), encoding)
            for one in found:
                with opened(one.path, start=one.start, encoding=encoding) as file:
                    self._total += max(0, file.size - (one.start if file.stream is file.raw else 0))
            self._readings += found
        self.analysis.restore(self._before.analysis)
        if not self._before.marks:
            self.analysis.in_baseline = self._options.baseline_share > 0
        elif self._before.ended:
            self.analysis.end_baseline()

    def pieces(self) -> Iterator[float]:
        """Read all of it, piece by piece; gives the share done."""
        for reading in self._readings:
            yield from self._file(reading)
        self.analysis.end()
        if self.analysis.in_baseline:
            self.analysis.end_baseline()

    def keep(self, *, ended: bool) -> None:
        """Remember how far it came."""
        self._since_kept = 0
        if self._held is not None:
            state = LogState(run_id=self._run_id, ended=ended, marks=self._marks, analysis=self.analysis.saved())
            self._held.put(state)

    def _file(self, reading: Reading) -> Generator[float]:
        encoding = self._options.encoding
        self.analysis.sampler.begin(reading.path.name)
        end, at, piece, note = reading.start, 0, 0, reading.note
        with opened(reading.path, start=reading.start, encoding=encoding, whole=reading.whole) as file:
            before = file.start if file.stream is file.raw else 0
            try:
                for block in file.blocks():
                    self._feed(block.content, max(0, block.at - before - at))
                    self.cut_lines += block.cut_lines
                    at, end, piece = max(at, block.at - before), block.end, piece + len(block.content)
                    self._since_kept += len(block.content)
                    if piece >= PIECE_BYTES:
                        piece = 0
                        self._mark(reading, end)
                        yield self._done / max(1, self._total)
            except EngineFailed as error:
                note = f"{note}; {error.message}" if note else error.message
        self.read.append(FileRead(path=str(reading.path), start=reading.start, end=end, note=note))
        self._mark(reading, end)
        yield self._done / max(1, self._total)

    def _feed(self, content: bytes, read: int) -> None:
        """Take a block, of which so many bytes were read on the disk; the baseline may end within."""
        limit = self._options.baseline_share * self._total
        if self.analysis.in_baseline and self._done + read >= limit:
            share = (limit - self._done) / read if read else 1.0
            cut = content.rfind(b"\n", 0, int(share * len(content))) + 1
            self.analysis.feed(content[:cut])
            self.analysis.end_baseline()
            content = content[cut:]
        self.analysis.feed(content)
        self._done += read

    def _mark(self, reading: Reading, end: int) -> None:
        """Note how far a file was read, and from time to time keep it."""
        if self._held is None or not reading.mark_as:
            return
        self._marks[reading.mark_as] = mark_at(reading.path, end, self._options.encoding)
        if self._since_kept >= KEEP_EVERY_BYTES:
            self.keep(ended=False)
