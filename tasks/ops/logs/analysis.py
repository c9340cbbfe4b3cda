"""The analysis of a log while it is read, block by block."""

from collections import Counter, OrderedDict
from collections.abc import Callable

from blocks.redact import Redactor
from tasks.ops.logs.levels import BAD, Level
from tasks.ops.logs.masks import keys as keys_of
from tasks.ops.logs.request import LogOptions
from tasks.ops.logs.samples import Sampler
from tasks.ops.logs.saved import SavedAnalysis, SavedTemplate, SavedWindow, shown
from tasks.ops.logs.templates import LINE_CHARS, Template, Templates
from tasks.ops.logs.times import windows_of
from tasks.ops.logs.windows import OPEN_WINDOWS, TOP, Window, Windows

STEP = 512
"""Lines between two whose time is read."""

KEY_BYTES = 4 * LINE_CHARS

LINES_OF_A_WINDOW = 10_000
"""Where lines bear no time."""


class Analysis:
    """What is known of a log so far.

    Args:
        options: What is wanted.
        redactor: Takes secrets out.
        year: For times that name none.
    """

    def __init__(self, options: LogOptions, redactor: Redactor, year: int) -> None:
        self.options, self.redactor, self.year = options, redactor, year
        self.templates = Templates(redactor, options.max_templates)
        self.windows = Windows()
        self.sampler = Sampler(options.context)
        self.levels: Counter[Level] = Counter()
        self.lines = self.base_lines = 0
        self.timed = False
        self.in_baseline = False
        self._open: OrderedDict[int, Counter[int]] = OrderedDict()
        self._window: int | None = None

    def feed(self, block: bytes) -> None:
        """Take some more whole lines."""
        if not block:
            return
        lines = block.split(b"\n")[:-1]
        keys = keys_of(block).split(b"\n")[:-1]
        if max(map(len, keys), default=0) > KEY_BYTES:
            keys = [key[:KEY_BYTES] for key in keys]
        self.sampler.fill(lines)
        begins = self._begins(lines)
        ends = [*(start for start, _ in begins[1:]), len(lines)]
        for (start, window), end in zip(begins, ends, strict=True):
            self._count(window, lines, keys, start, end)
        self.sampler.end_block(lines)
        self.lines += len(lines)
        self._window = begins[-1][1] if begins else self._window

    def end_baseline(self) -> None:
        """What came so far is what is usual; what comes now is looked at."""
        self._close(0)
        self.templates.end_baseline()
        self.windows.end_baseline()
        self.levels.clear()
        self.base_lines, self.lines, self.in_baseline = self.base_lines + self.lines, 0, False

    def end(self) -> None:
        """No more lines come."""
        self._close(0)

    def _begins(self, lines: list[bytes]) -> list[tuple[int, int]]:
        found = windows_of(lines, self._window if self.timed else None, self.year, self.options.window_s, STEP)
        if found:
            self.timed = True
            if found[0][0] > 0:
                found[0] = (0, found[0][1])
            return found
        passed, width = self.base_lines + self.lines, LINES_OF_A_WINDOW
        starts = [0, *range(width - passed % width, len(lines), width)]
        return [(start, (passed + start) // width) for start in starts]

    def _count(self, window: int, lines: list[bytes], keys: list[bytes], start: int, end: int) -> None:
        """Count the lines of a block that belong to a window."""
        counts = Counter(keys[start:end] if (start, end) != (0, len(keys)) else keys)
        places: dict[bytes, int] = {}

        def place(key: bytes) -> int:
            if not places:
                places.update(zip(reversed(keys[start:end]), range(end - 1, start - 1, -1), strict=True))
            return places[key]

        numbers = self.templates.numbers(counts, lambda wanted: [lines[place(key)] for key in wanted])
        came: Counter[int] = Counter()
        for key, number in numbers.items():
            came[number] += counts[key]
        self._add(window, end - start, came)
        for number, key in self._to_sample(numbers).items():
            self.templates.of[number].samples.append(self.sampler.take(lines, place(key)))

    def _add(self, window: int, lines: int, came: Counter[int]) -> None:
        of, errors = self.templates.of, Counter[int]()
        for number, count in came.items():
            template = of[number]
            template.count += count
            self.levels[template.level] += count
            if template.level in BAD:
                errors[number] = count
        self.windows.add(window, lines, errors)
        self._open.setdefault(window, Counter()).update(came)
        self._close(OPEN_WINDOWS)

    def _to_sample(self, numbers: dict[bytes, int]) -> dict[int, bytes]:
        """Templates of which another sample is wanted, and one of their lines."""
        if self.in_baseline or self.options.samples == 0:
            return {}
        lacking = {
            number for number in set(numbers.values()) if len(self.templates.of[number].samples) < self.options.samples
        }
        return {number: key for key, number in numbers.items() if number in lacking} if lacking else {}

    def _close(self, left: int) -> None:
        """Note what the fullest window of each template was."""
        while len(self._open) > left:
            window, came = self._open.popitem(last=False)
            for number, count in came.items():
                template: Template | None = self.templates.of.get(number)
                if template is not None and count > template.peak:
                    template.peak, template.peak_window = count, window

    def saved(self) -> SavedAnalysis:
        """What is known, without secrets; see `restore`."""
        redact = self.redactor.text
        return SavedAnalysis(
            templates=tuple(_saved(one, self.templates.words(one.number), redact) for one in self.templates.kept()),
            usual=tuple(sorted(self.windows.usual.items())),
            windows=tuple(
                SavedWindow(window=window, lines=one.lines, errors=one.errors, top=tuple(one.top.most_common(TOP)))
                for window, one in self.windows.seen.items()
            ),
            levels=dict(self.levels),
            lines=self.lines,
            base_lines=self.base_lines,
            timed=self.timed,
            in_baseline=self.in_baseline,
        )

    def restore(self, saved: SavedAnalysis) -> None:
        """Go on from what was known."""
        for one in saved.templates:
            facts = one.model_dump(exclude={"words", "samples"})
            samples = [sample.taken() for sample in one.samples]
            self.templates.restore(Template(**facts, samples=samples), one.words)
        self.windows.usual = Counter(dict(saved.usual))
        self.windows.seen = {one.window: Window(one.lines, one.errors, Counter(dict(one.top))) for one in saved.windows}
        self.levels = Counter(saved.levels)
        self.lines, self.base_lines = saved.lines, saved.base_lines
        self.timed, self.in_baseline = saved.timed, saved.in_baseline


def _saved(one: Template, words: tuple[str, ...], redact: Callable[[str], str]) -> SavedTemplate:
    return SavedTemplate(
        number=one.number,
        level=one.level,
        words=words,
        count=one.count,
        peak=one.peak,
        peak_window=one.peak_window,
        base_count=one.base_count,
        base_peak=one.base_peak,
        samples=tuple(shown(sample, redact) for sample in one.samples),
    )
