"""Phone numbers and citizens' numbers of Viet Nam.

Sources: the numbering plan of Circular 22/2014/TT-BTTTT with the mobile prefixes of 2018; Circular 59/2021/TT-BCA: an
identity card's number has 12 digits, the first three a province's code, 001 to 096. The older ones of 9 digits look
like any number, so they are taken for one only after their name.
"""

import re
from collections.abc import Iterator

from blocks.redact.span import Span

APART = r"(?<!\w)(?<!\w[.\-])"
COUNTRY = r"(?:(?:\+|00)84[ .\-]?(?:\(0\)[ ]?)?|0)"
MOBILE = r"(?:3[2-9]|5[25-9]|7[06-9]|8[1-9]|9[0-9])(?:[ .\-]?[0-9]){7}"
LANDLINE = r"2[0-9]{1,2}(?:[ .\-]?[0-9]){7,8}"
PHONE = re.compile(rf"{APART}{COUNTRY}(?:{MOBILE}|{LANDLINE})(?!\w)")
CITIZEN = re.compile(rf"{APART}0(?:0[1-9]|[1-8][0-9]|9[0-6])[ ]?[0-9]{{3}}[ ]?[0-9]{{3}}[ ]?[0-9]{{3}}(?!\w)")
NAMED = re.compile(
    r"(?i)\b(?:CMND|CMT|CMTND|CCCD|chứng minh(?: thư| nhân dân)?|căn cước(?: công dân)?|số định danh)\b[^0-9\n]{0,20}"
    r"([0-9]{9}(?:[0-9]{3})?)(?!\w)"
)


def vietnamese_numbers(text: str) -> Iterator[Span]:
    """Phone and citizens' numbers."""
    for match in PHONE.finditer(text):
        yield Span(*match.span(), "phone")
    for match in CITIZEN.finditer(text):
        yield Span(*match.span(), "id-number")
    for match in NAMED.finditer(text):
        yield Span(*match.span(1), "id-number")
