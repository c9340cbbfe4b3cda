"""What an analysis of logs found, for programs and for people."""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import PurePath

from blocks.markdown import code, fenced
from blocks.model import Frozen
from blocks.plain_text import plain
from tasks.ops.logs.analysis import LINES_OF_A_WINDOW, Analysis
from tasks.ops.logs.levels import BAD, Level
from tasks.ops.logs.saved import ShownSample, shown
from tasks.ops.logs.templates import Template
from tasks.ops.worded import Worded, summary_lines

ORDER: tuple[Level, ...] = ("fatal", "error", "warning", "none", "info", "debug")
TOP = 5


class FileRead(Frozen):
    """A file as it was read.

    Attributes:
        path: Where it lies.
        start, end: Offsets in its uncompressed bytes.
        note: What a person should know: that it was rotated, or is damaged.
    """

    path: str
    start: int
    end: int
    note: str = ""


class Found(Frozen):
    """A template in a report.

    Attributes:
        number: The same in all analyses that go on from each other.
        template: Its words; `<num>`, `<ip>`, `<hex>`, `<id>`, `<time>` and `<*>` stand for what changes.
        level: Of its lines.
        count: Its lines since the baseline.
        peak: Most of them within a window.
        peak_at: When that window begins.
        base_count, base_peak: The same of the baseline.
        samples: Some of its lines.
    """

    number: int
    template: str
    level: Level
    count: int
    peak: int
    peak_at: str
    base_count: int
    base_peak: int
    samples: tuple[ShownSample, ...] = ()


class FoundBurst(Frozen):
    """A burst of errors in a report.

    Attributes:
        start, end: When.
        lines: All lines within it.
        errors: Those of level error or fatal.
        usual: Errors of a usual window.
        templates: Which came most.
    """

    start: str
    end: str
    lines: int
    errors: int
    usual: float
    templates: tuple[str, ...]


class LogReport(Worded):
    """What an analysis found.

    Attributes:
        run_id: Of the run.
        state: Name of the analysis that it goes on from, if any.
        files: What was read.
        lines, base_lines: Lines since the baseline, and of it.
        cut_lines: Lines of which only the beginning was read.
        levels: Lines of each level since the baseline.
        templates: How many there are.
        forgotten: Templates that were forgotten, since there were too many.
        new: Those that the baseline does not have, the worst first.
        spiking: Those that came far more often within a window than in the baseline.
        bursts: Windows with many errors.
        most: Those that came most often.
        window: What a window is.
    """

    run_id: str
    state: str | None
    files: tuple[FileRead, ...]
    lines: int
    base_lines: int
    cut_lines: int
    levels: dict[Level, int]
    templates: int
    forgotten: int
    new: tuple[Found, ...]
    more_new: int
    spiking: tuple[Found, ...]
    bursts: tuple[FoundBurst, ...]
    most: tuple[Found, ...]
    window: str


def report_of(analysis: Analysis, run_id: str, files: Iterable[FileRead], cut_lines: int) -> LogReport:
    """What an analysis that has ended found."""
    options, read = analysis.options, tuple(files)
    moment = _moments(analysis)
    ones = _united(analysis)
    new = sorted((one for one in ones if one.count and not one.base_count), key=_worst_first)
    spiking = sorted((one for one in ones if is_spike(one, analysis)), key=lambda one: -one.peak / one.base_peak)
    most = sorted((one for one in ones if one.count), key=lambda one: -one.count)[:TOP]
    bursts = [
        FoundBurst(
            start=moment(one.start),
            end=moment(one.end),
            lines=one.lines,
            errors=one.errors,
            usual=one.usual,
            templates=tuple(
                f"{count} × {plain(analysis.templates.text(number))}"
                for number, count in one.templates
                if analysis.templates.text(number)
            ),
        )
        for one in analysis.windows.bursts(_width(analysis), options.burst_least, options.burst_factor)
    ]

    def found(one: Template) -> Found:
        return Found(
            number=one.number,
            template=plain(analysis.templates.text(one.number)),
            level=one.level,
            count=one.count,
            peak=one.peak,
            peak_at="" if one.peak_window is None else moment(one.peak_window * _width(analysis)),
            base_count=one.base_count,
            base_peak=one.base_peak,
            samples=tuple(shown(sample, analysis.redactor.text) for sample in one.samples),
        )

    levels: dict[Level, int] = {level: analysis.levels[level] for level in ORDER if analysis.levels[level]}
    return LogReport(
        run_id=run_id,
        state=options.state,
        summary=_summary(analysis, len(new), spiking, bursts, levels),
        files=read,
        lines=analysis.lines,
        base_lines=analysis.base_lines,
        cut_lines=cut_lines,
        levels=levels,
        templates=len(ones),
        forgotten=analysis.templates.forgotten,
        new=tuple(found(one) for one in new[: options.shown]),
        more_new=max(0, len(new) - options.shown),
        spiking=tuple(found(one) for one in spiking[: options.shown]),
        bursts=tuple(bursts[: options.shown]),
        most=tuple(found(one) for one in most),
        window=f"{options.window_s} s" if analysis.timed else f"{LINES_OF_A_WINDOW} lines",
    )


def is_spike(one: Template, analysis: Analysis) -> bool:
    """Whether a template that the baseline has came far more often within a window."""
    options = analysis.options
    return one.base_count > 0 and one.peak >= max(options.spike_least, options.spike_factor * one.base_peak)


def markdown(report: LogReport) -> str:
    """A report for people."""
    lines = ["# Log analysis", "", *summary_lines(report)]
    if report.new:
        more = f", {report.more_new} more not shown" if report.more_new else ""
        lines += [f"## New templates ({len(report.new)}{more})", ""]
        lines += [line for one in report.new for line in _shown(one)]
    if report.spiking:
        lines += ["## Spiking templates", ""] + [line for one in report.spiking for line in _shown(one)]
    if report.bursts:
        lines += ["## Bursts of errors", ""]
        for one in report.bursts:
            lines += [f"- {one.start} to {one.end}: {one.errors:,} errors of {one.lines:,} lines; usual: {one.usual:g}"]
            lines += [f"  - {code(text)}" for text in one.templates]
        lines += [""]
    lines += ["## Most frequent", ""] + [f"- {one.count:,} × {code(one.template)}" for one in report.most]
    lines += ["", "## Files", ""]
    for file in report.files:
        note = f" – {plain(file.note)}" if file.note else ""
        lines += [f"- {code(plain(PurePath(file.path).name))} bytes {file.start:,} to {file.end:,}{note}"]
    return "\n".join(lines) + "\n"


def _shown(one: Found) -> list[str]:
    usual = f"; in the baseline {one.base_count:,}, at most {one.base_peak:,} in a window" if one.base_count else ""
    when = f", most at {one.peak_at} ({one.peak:,})" if one.peak_at else ""
    lines = [f"- **{one.level}** {one.count:,} ×{when}{usual}", "", f"  {code(one.template)}", ""]
    for sample in one.samples[:1]:
        around = [f"  {line}" for line in sample.before] + [f"> {sample.text}"] + [f"  {line}" for line in sample.after]
        shown_lines = fenced("\n".join(around)).split("\n")
        lines += [f"  {code(sample.file)}, line {sample.line:,}:", "", *(f"  {line}" for line in shown_lines), ""]
    return lines


def _summary(
    analysis: Analysis, new: int, spiking: list[Template], bursts: list[FoundBurst], levels: dict[Level, int]
) -> str:
    told = ", ".join(f"{count:,} {level}" for level, count in levels.items() if level in (*BAD, "warning"))
    parts = [f"{analysis.lines:,} lines looked at against {analysis.base_lines:,} of the baseline"]
    parts += [f"levels: {told or 'no warnings or errors'}"]
    parts += [f"{new} new templates, {len(spiking)} spiking, {len(bursts)} bursts of errors"]
    if bursts:
        parts += [f"the worst burst from {bursts[0].start}: {bursts[0].errors:,} errors, usual {bursts[0].usual:g}"]
    if analysis.templates.forgotten:
        parts += [f"{analysis.templates.forgotten} templates were forgotten, raise max_templates"]
    return ". ".join(part[0].upper() + part[1:] for part in parts) + "."


def _united(analysis: Analysis) -> list[Template]:
    """The templates, those of the same words as one: what was forgotten and came again has two numbers."""
    by_text: dict[tuple[Level, str], Template] = {}
    for one in analysis.templates.kept():
        first = by_text.setdefault((one.level, analysis.templates.text(one.number)), one)
        if first is not one:
            first.count, first.base_count = first.count + one.count, first.base_count + one.base_count
            first.base_peak = max(first.base_peak, one.base_peak)
            if one.peak > first.peak:
                first.peak, first.peak_window = one.peak, one.peak_window
    return list(by_text.values())


def _worst_first(one: Template) -> tuple[int, int]:
    return ORDER.index(one.level), -one.count


def _width(analysis: Analysis) -> int:
    return analysis.options.window_s if analysis.timed else LINES_OF_A_WINDOW


def _moments(analysis: Analysis) -> Callable[[int], str]:
    """Shows where a window begins."""

    def moment(start: int) -> str:
        if not analysis.timed:
            return f"line {start:,}"
        try:
            return f"{datetime.fromtimestamp(start, UTC):%Y-%m-%d %H:%M:%S}"
        except (OverflowError, ValueError, OSError):  # a line said that it was written in the year 40,000
            return f"{start} s"

    return moment
