"""Where time windows begin in lines, of which few are read."""

from collections import Counter
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from tasks.ops.logs.times import windows_of

BEGIN = 1_795_000_000


def line(second: int) -> bytes:
    """A line of a log, so many seconds after the first."""
    return datetime.fromtimestamp(BEGIN + second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ INFO hello").encode()


def counted(lines: list[bytes], before: int | None = None, step: int = 512) -> Counter[int]:
    """Lines of each window of a minute."""
    begins = windows_of(lines, before, 2026, 60, step)
    ends = [*(start for start, _ in begins[1:]), len(lines)]
    counts: Counter[int] = Counter()
    for (start, window), end in zip(begins, ends, strict=True):
        counts[window] += end - start
    return counts


@given(st.lists(st.integers(0, 200), min_size=1, max_size=2_000), st.sampled_from([1, 7, 512]))
def test_lines_in_order_are_counted_to_their_windows(gaps: list[int], step: int) -> None:
    seconds = [sum(gaps[:1])]
    for gap in gaps[1:]:
        seconds.append(seconds[-1] + gap)
    assert counted([line(second) for second in seconds], step=step) == Counter(
        (BEGIN + second) // 60 for second in seconds
    )


def test_a_slow_log_has_all_its_windows() -> None:
    lines = [line(second) for second in range(1_200)]
    assert set(counted(lines).values()) <= {60, *(1_200 % 60, 20, 40)} and len(counted(lines)) >= 20
    assert max(counted(lines).values()) == 60


def test_lines_go_on_from_the_window_of_the_block_before() -> None:
    before = BEGIN // 60
    lines = [b"  at stack trace"] * 20 + [line(second) for second in range(60, 200)]
    counts = counted(lines, before)
    assert sum(counts.values()) == len(lines) and max(counts) == (BEGIN + 199) // 60


def test_stack_traces_belong_to_the_line_before_them() -> None:
    lines = [line(0), *[b"  at a"] * 5, line(120), *[b"  at b"] * 5, line(240)]
    assert len(counted(lines)) == 3


def test_lines_without_times_have_no_windows() -> None:
    assert windows_of([b"hello"] * 10, None, 2026, 60, 512) == []
