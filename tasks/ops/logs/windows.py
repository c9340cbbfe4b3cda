"""How many lines of each level came in each window of time, and in which windows errors burst."""

from collections import Counter
from dataclasses import dataclass, field

from blocks.model import Frozen

MOST_WINDOWS = 4096
"""Windows whose errors are kept; of more, those with the fewest are forgotten."""

OPEN_WINDOWS = 3
"""Windows that lines may still come to: they stand out of order where several processes write."""

TOP = 5


class Burst(Frozen):
    """Neighbouring windows with many errors.

    Attributes:
        start, end: Seconds since 1970, or the numbers of the lines where these bear no time.
        lines: All lines in it.
        errors: Those of level error or fatal.
        usual: Errors of a usual window.
        templates: Numbers of the templates with the most errors in it, and their lines.
    """

    start: int
    end: int
    lines: int
    errors: int
    usual: float
    templates: tuple[tuple[int, int], ...] = ()


@dataclass
class Window:
    """What came in a window."""

    lines: int = 0
    errors: int = 0
    top: Counter[int] = field(default_factory=Counter[int])


class Windows:
    """The windows of a log since its baseline, and how many errors usual ones had."""

    def __init__(self) -> None:
        self.usual: Counter[int] = Counter()
        self.seen: dict[int, Window] = {}

    def add(self, window: int, lines: int, errors: Counter[int]) -> None:
        """Count lines of a window, and its errors by template."""
        one = self.seen.setdefault(window, Window())
        one.lines += lines
        one.errors += errors.total()
        one.top.update(errors)
        if len(one.top) > 10 * TOP:
            one.top = Counter(dict(one.top.most_common(TOP)))
        if len(self.seen) > MOST_WINDOWS:
            self._thin_out()

    def end_baseline(self) -> None:
        """What came so far is what is usual."""
        self.usual.update(one.errors for one in self.seen.values())
        self.seen.clear()

    def usual_errors(self) -> float:
        """Errors in a usual window: the median of the baseline, else of all windows."""
        counts = self.usual or Counter(one.errors for one in self.seen.values())
        half, passed = counts.total() / 2, 0
        for errors in sorted(counts):
            passed += counts[errors]
            if passed >= half:
                return float(errors)
        return 0.0

    def bursts(self, width: int, least: int, factor: float) -> list[Burst]:
        """The bursts, the worst first.

        Args:
            width: Of a window, in seconds or lines.
            least: Errors in a window without which it is none.
            factor: How many times the usual errors a window must have.
        """
        usual = self.usual_errors()
        found: list[list[int]] = []
        for window in sorted(self.seen):
            if self.seen[window].errors < max(least, factor * usual):
                continue
            if found and window - found[-1][-1] <= 1:
                found[-1].append(window)
            else:
                found.append([window])
        bursts = [self._burst(windows, width, usual) for windows in found]
        return sorted(bursts, key=lambda one: -one.errors)

    def _burst(self, windows: list[int], width: int, usual: float) -> Burst:
        ones = [self.seen[window] for window in windows]
        top: Counter[int] = sum((one.top for one in ones), Counter[int]())
        return Burst(
            start=windows[0] * width,
            end=(windows[-1] + 1) * width,
            lines=sum(one.lines for one in ones),
            errors=sum(one.errors for one in ones),
            usual=usual,
            templates=tuple(top.most_common(TOP)),
        )

    def _thin_out(self) -> None:
        """Forget half of the windows, those with the fewest errors; they count as usual ones."""
        kept = set(sorted(self.seen, key=lambda one: -self.seen[one].errors)[: MOST_WINDOWS // 2])
        self.usual.update(one.errors for window, one in self.seen.items() if window not in kept)
        self.seen = {window: one for window, one in self.seen.items() if window in kept}
