"""How far the fields of a summary are those that were expected."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from blocks.model import Frozen
from tasks.evaluation.case import Match
from tasks.evaluation.normalise import plain_words

MISSING = object()


class FieldScore(Frozen):
    """One expected field.

    Attributes:
        field: Its path, names joined by points.
        score: 0 to 1: what counts.
        by: How it was compared: `exact`, `normalised` or `f1` of a text, `set` of a list, `exact` of all else.
        exact: Whether it is the same, character by character; None for lists.
        normalised: Whether it is the same without case and punctuation; None for lists.
        f1: Token F1 of a text; None for all else.
        expected, found: What it should be and what it is, as JSON, shortened.
    """

    field: str
    score: float
    by: str
    exact: bool | None = None
    normalised: bool | None = None
    f1: float | None = None
    expected: str
    found: str


def field_scores(
    expected: Mapping[str, Any],
    found: Mapping[str, Any] | None,
    match: Mapping[str, Match],
    language: str | None = None,
) -> tuple[FieldScore, ...]:
    """A score for each expected field; what the summary has beyond those is not looked at.

    Args:
        expected: What it should say; objects within are compared field by field.
        found: The summary; None where there is none: then every score is 0.
        match: How texts are compared, by path; `f1` where nothing is said, and within lists `normalised`.
        language: ISO 639-1 code.
    """
    return tuple(
        _scored(path, wanted, _at(found, path), match.get(path), language) for path, wanted in _leaves(expected)
    )


def token_f1(expected: str, found: str, language: str | None = None) -> float:
    """Harmonic mean of precision and recall of words, each as often as it occurs; two empty texts are equal.

    Source: Rajpurkar et al., «SQuAD: 100,000+ Questions for Machine Comprehension of Text» (2016), section 6.1.
    """
    wanted, given = plain_words(expected, language).split(), plain_words(found, language).split()
    if not wanted or not given:
        return float(wanted == given)
    return 2 * (Counter(wanted) & Counter(given)).total() / (len(wanted) + len(given))


def set_score(expected: Sequence[Any], found: Sequence[Any], match: Match, language: str | None = None) -> float:
    """F1 of two lists as sets: each item is matched with at most one of the other, as scores most in all.

    Items count once, in any order. Of an item that is an object only the fields that are expected are compared.
    """
    from scipy.optimize import linear_sum_assignment

    wanted, given = _distinct(expected, match, language), _distinct(found, match, language)
    if not wanted or not given:
        return float(len(wanted) == len(given))
    table: list[list[float]] = [[_alike(one, other, match, language) for other in given] for one in wanted]
    solve: Any = linear_sum_assignment
    rows, columns = cast(tuple[list[int], list[int]], solve(table, maximize=True))
    total = sum(table[row][column] for row, column in zip(rows, columns, strict=True))
    return 2 * total / (len(wanted) + len(given))


def _leaves(expected: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in expected.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(cast(Mapping[str, Any], value), f"{before}{name}.")
        else:
            yield f"{before}{name}", value


def _at(found: Any, path: str) -> Any:
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return MISSING
        found = cast(Mapping[str, Any], found)[name]
    return found


def _scored(path: str, wanted: Any, found: Any, match: Match | None, language: str | None) -> FieldScore:
    shown: Any = {"field": path, "expected": _shown(wanted), "found": "–" if found is MISSING else _shown(found)}
    if isinstance(wanted, list):
        given = cast(list[Any], found) if isinstance(found, list) else []
        score = set_score(cast(list[Any], wanted), given, match or "normalised", language)
        return FieldScore(score=score if isinstance(found, list) else 0.0, by="set", **shown)
    if isinstance(wanted, str) and isinstance(found, str):
        exact = wanted == found
        normalised = plain_words(wanted, language) == plain_words(found, language)
        f1 = token_f1(wanted, found, language)
        by = match or "f1"
        score = {"exact": float(exact), "normalised": float(normalised), "f1": f1}[by]
        return FieldScore(score=score, by=by, exact=exact, normalised=normalised, f1=f1, **shown)
    same = _same(wanted, None if found is MISSING and wanted is None else found)
    return FieldScore(score=float(same), by="exact", exact=same, normalised=same, **shown)


def _same(one: Any, other: Any) -> bool:
    """Equal as JSON: 1 is 1.0, and true is not 1."""
    return isinstance(one, bool) == isinstance(other, bool) and one == other


def _alike(wanted: Any, found: Any, match: Match, language: str | None) -> float:
    """How alike two items of lists are, 0 to 1."""
    if isinstance(wanted, Mapping):
        if not isinstance(found, Mapping) or not wanted:
            return float(_same(wanted, found))
        paths = (path for path, _ in _leaves(cast(Mapping[str, Any], wanted)))
        inner: dict[str, Match] = dict.fromkeys(paths, match)
        scores = field_scores(cast(Mapping[str, Any], wanted), cast(Mapping[str, Any], found), inner, language)
        return sum(one.score for one in scores) / len(scores)
    if isinstance(wanted, str) and isinstance(found, str):
        if match == "f1":
            return token_f1(wanted, found, language)
        return float(
            wanted == found or (match == "normalised" and plain_words(wanted, language) == plain_words(found, language))
        )
    return float(_same(wanted, found))


def _distinct(items: Sequence[Any], match: Match, language: str | None) -> list[Any]:
    """The items, each once: texts are the same as they are when compared."""
    named = {json.dumps(_form(item, match, language), sort_keys=True): item for item in reversed(items)}
    return list(reversed(named.values()))


def _form(item: Any, match: Match, language: str | None) -> Any:
    if isinstance(item, str):
        return item if match == "exact" else plain_words(item, language)
    if isinstance(item, Mapping):
        return {name: _form(value, match, language) for name, value in cast(Mapping[str, Any], item).items()}
    return [_form(value, match, language) for value in cast(list[Any], item)] if isinstance(item, list) else item


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 300 else f"{text[:299]}…"
