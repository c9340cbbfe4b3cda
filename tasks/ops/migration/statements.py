"""SQL scripts as single statements, so that none of them can end the transaction that it runs in."""

import re
from collections.abc import Iterator

TOKEN = re.compile(
    r"""
    (?P<escaped> [eE]'(?:[^'\\]|''|\\.)*' )
  | (?P<text> '(?:[^']|'')*' )
  | (?P<name> "(?:[^"]|"")*" )
  | (?P<line> --[^\n]* )
  | (?P<comment> /\* )
  | (?P<dollar> (?<![\w$])\$(?P<tag>[A-Za-z_]\w*)?\$ )
  | (?P<end> ; )
  | (?P<word> \w+ )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
COMMENT_EDGE = re.compile(r"/\*|\*/")

ENDS_TRANSACTION = {"begin", "start", "commit", "end", "rollback", "abort", "savepoint", "release", "prepare"}
"""First words of statements that a script does not need, because it runs in a transaction of its own."""


def split_statements(script: str) -> tuple[str, ...]:
    """The statements of a script, without the semicolons between them; comments stay with what follows.

    What stands in quotes, dollar quotes and comments is not looked at. Functions whose body is written as
    `BEGIN ATOMIC … END` are not understood: write it in dollar quotes.
    """
    return tuple(text for text, word in _split(script) if word)


def first_words(script: str) -> tuple[str, ...]:
    """The first word of each statement, in lower case."""
    return tuple(word for _, word in _split(script) if word)


def _split(script: str) -> Iterator[tuple[str, str]]:
    begin = place = 0
    word = ""
    while (found := TOKEN.match(script, place)) is not None:
        kind, place = found.lastgroup or "", found.end()
        if kind == "end":
            yield script[begin : found.start()].strip(), word
            begin, word = place, ""
        elif found["comment"]:
            place = _comment_end(script, place)
        elif found["dollar"]:
            close = script.find(found["dollar"], place)
            place = len(script) if close < 0 else close + len(found["dollar"])
            word = word or "$"
        elif not found["line"] and not word and not found[0].isspace():
            word = found[0].lower()
    yield script[begin:].strip(), word


def _comment_end(script: str, place: int) -> int:
    depth = 1
    while depth and (edge := COMMENT_EDGE.search(script, place)) is not None:
        depth += 1 if edge[0] == "/*" else -1
        place = edge.end()
    return place if depth == 0 else len(script)
