"""Logs of CI jobs."""

from pathlib import Path

from tasks.ops.ci.mining import FIRST, LAST, bare, frame_in, mine_log, mined

LOG = """\
2026-01-02T10:00:00.0000000Z \x1b[32mcollecting\x1b[0m
2026-01-02T10:00:01.0000000Z Traceback (most recent call last):
2026-01-02T10:00:01.0000000Z   File "/src/shop/cart.py", line 12, in total
2026-01-02T10:00:01.0000000Z     return sum(prices)
2026-01-02T10:00:01.0000000Z   File "/src/shop/price.py", line 3, in parse
2026-01-02T10:00:01.0000000Z ValueError: no price
2026-01-02T10:00:02.0000000Z done
"""


def test_times_and_colours_are_taken_away() -> None:
    assert bare("2026-01-02T10:00:00.0000000Z \x1b[31;1mERROR\x1b[0m it broke \r") == "ERROR it broke"


def test_error_lines_and_the_last_stack_are_found(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_text(LOG)
    found = mine_log(path)
    assert found.lines == 7
    assert [number for number, _ in found.telling] == [2, 6]
    assert [(one.file, one.line, one.name) for one in found.frames] == [
        ("/src/shop/cart.py", 12, "total"),
        ("/src/shop/price.py", 3, "parse"),
    ]


def test_frames_of_other_languages_are_found() -> None:
    lines = {
        "	at com.shop.Cart.total(Cart.java:12)": ("Cart.java", 12),
        "    at total (/src/cart.js:7:11)": ("/src/cart.js", 7),
        "	/src/cart.go:9 +0x1d": ("/src/cart.go", 9),
        "tests/test_a.py:5: AssertionError": ("tests/test_a.py", 5),
    }
    for line, place in lines.items():
        frame = frame_in(line)
        assert frame is not None
        assert (frame.file, frame.line) == place


def test_of_a_flood_beginning_and_end_are_kept() -> None:
    found = mined((f"ERROR {number}" for number in range(100_000)), "flood")
    assert len(found.telling) == FIRST + LAST
    assert found.telling[0] == (1, "ERROR 0")
    assert found.telling[-1] == (100_000, "ERROR 99999")


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "job.log"
    path.write_bytes(b"x" * 5_000_000 + b"\nERROR here\n")
    found = mine_log(path)
    assert (found.lines, found.telling) == (2, ((2, "ERROR here"),))
