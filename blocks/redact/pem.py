"""Private keys: PEM blocks of all kinds, cut off ones too, and those of PuTTY."""

import re
from bisect import bisect_left
from collections.abc import Iterator

from blocks.redact.span import Span

LONGEST = 32_768
"""Characters from a key's first line to its last; RSA of 16384 bits takes 12,800."""

NAMED = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?:[ ]?-{2,5})?"
BEGIN = re.compile(f"(?:-{{2,5}}[ ]?)?BEGIN {NAMED}")
END = re.compile(f"END {NAMED}")
BETWEEN = r"(?:\s|\\{1,2}[nrt]|[\"'+,|>#*])"
BODY = re.compile(
    rf"(?:{BETWEEN}*+(?:[A-Za-z0-9+/=]{{16,}}+|(?:Proc-Type|DEK-Info|Comment|Version|Hash):[^\n\\]{{0,120}}))*+"
    rf"(?:{BETWEEN}*+[A-Za-z0-9+/]{{1,15}}={{0,2}}(?![^\s\\\"']))?"
)
"""Lines of base64, and a last one that may be short or cut off."""

PUTTY = re.compile(r"Private-Lines: [0-9]{1,4}(?:\s+[A-Za-z0-9+/=]{16,})*+(?:\s+[A-Za-z0-9+/=]+)?")


def private_keys(text: str) -> Iterator[Span]:
    """The private keys."""
    if "PRIVATE KEY" in text:
        ends = [match.end() for match in END.finditer(text)]
        covered = 0
        for match in BEGIN.finditer(text):
            if match.start() >= covered:
                covered = _end_of(text, match.end(), ends)
                yield Span(match.start(), covered, "private-key")
    if "Private-Lines:" in text:
        yield from (Span(*match.span(), "private-key") for match in PUTTY.finditer(text))


def _end_of(text: str, head: int, ends: list[int]) -> int:
    """Where a key ends: at its last line, else after what looks like one."""
    place = bisect_left(ends, head)
    if place < len(ends) and ends[place] - head <= LONGEST:
        return ends[place]
    body = BODY.match(text, head)
    return body.end() if body else head
