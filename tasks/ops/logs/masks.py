"""What of a line is the same in all lines of its kind: numbers, addresses, ids and times taken out.

Two masks. `keys`, over a block at once, is fast and coarse: lines with the same key are counted by the interpreter's
own loops, which is where the speed comes from. `shape`, by regular expressions, sees one line of each key, once.
"""

import re

DIGITS_TO_ZERO = bytes(ord("0") if chr(one).isascii() and chr(one).isdigit() else one for one in range(256))

CASE, HEX_LETTERS = 0x20, 6

ABSORBED = 4
"""Letters on either side of a digit that count as hexadecimal digits: 94 of 100 UUIDs then look the same."""

DIGITS = re.compile(r"[0-9]+")

HEX = re.compile(
    r"(?<![A-Za-z0])(?:0x[a-fA-F0]+|[a-fA-F0]+(?:-[a-fA-F0]+){3,}|(?=[a-fA-F]*0)[a-fA-F0]{2,}(?:-[a-fA-F0]+)*)(?![A-Za-z0])"
)
LONG_ID = re.compile(r"(?<![A-Za-z0_])(?=[A-Za-z_]*0)[A-Za-z0_-]{20,}(?![A-Za-z0_])")
TIMES = re.compile(
    r"0[-/]0[-/]0[T ]0:0:0(?:[.,]0)?(?:Z| ?[+-]0(?::0)?)?"
    r"|0/[A-Z][a-z]{2}/0:0:0:0(?: [+-]0)?"
    r"|(?:[A-Z][a-z]{2},? )?[A-Z][a-z]{2} {1,2}0 0:0:0(?:[.,]0)?(?: 0)?"
)
ADDRESS = re.compile(r"(?<![A-Za-z0.])0\.0\.0\.0(?::0|/0)?(?![.0])")
V6 = re.compile(r"(?<![A-Za-z0:])(?:[a-f0]{1,4}:){2,7}:?[a-f0]{1,4}(?![A-Za-z0:])|(?<![A-Za-z0:])::0(?![A-Za-z0:])")
NUMBER = re.compile(r"[+-]?0(?:[.,]0)*")
MASKS = (
    (TIMES, "<time>"),
    (ADDRESS, "<ip>"),
    (V6, "<ip>"),
    (HEX, "<hex>"),
    (LONG_ID, "<id>"),
    (NUMBER, "<num>"),
)

HEADER = re.compile(r"(?:[\[(<]?<(?:time|num|ip|hex)>[\])>]?[:,]?\s+)+")
"""What a line begins with before it says anything."""


def keys(block: bytes) -> bytes:
    """The block with each run of digits, and of what of hexadecimal numbers stands between them, as one `0`.

    It has as many lines as before. Two lines of one kind mostly become the same; that two of different kinds do, as
    `sda1` and `sdb1`, takes a difference only in letters from a to f beside a digit.
    """
    import numpy as np

    taken = np.frombuffer(block.translate(DIGITS_TO_ZERO), dtype=np.uint8)
    letter = ((taken | CASE) - np.uint8(ord("a"))) < HEX_LETTERS
    digit = taken == ord("0")
    for _ in range(ABSORBED):
        digit[1:-1] |= (digit[:-2] | digit[2:]) & letter[1:-1]
    kept = np.ones(len(taken), dtype=bool)
    np.logical_not(digit[1:] & digit[:-1], out=kept[1:])
    return np.where(digit, np.uint8(ord("0")), taken)[kept].tobytes()


def shape(line: str) -> str:
    """A line, or several, without what changes from line to line."""
    line = DIGITS.sub("0", line)
    for pattern, name in MASKS:
        line = pattern.sub(name, line)
    return line


def words(line: str) -> str:
    """A shape as the miner sees it: without what stands before the message, JSON as words."""
    found = HEADER.match(line)
    said = line[found.end() :] if found else line
    if said.lstrip().startswith("{"):
        said = said.replace('","', '", "').replace('":', '": ').replace(',"', ', "')
    return said.strip()
