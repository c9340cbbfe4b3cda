"""What number words that stand together mean, English and Vietnamese."""

from collections.abc import Callable, Mapping, Sequence

from blocks.language.numbers import NUMBER_WORDS, SCALES, UNITS, numbers_in, parse

DIGITS_EN = {word: value for word, value in UNITS.items() if value < 10}
DIGITS_VI = {
    **{"không": 0, "một": 1, "mốt": 1, "hai": 2, "ba": 3, "bốn": 4, "tư": 4, "năm": 5, "lăm": 5, "nhăm": 5},
    **{"sáu": 6, "bảy": 7, "bẩy": 7, "tám": 8, "chín": 9},
}
AFTER_TENS_VI = {"mốt", "tư", "lăm", "nhăm"}
"""Digits that come after tens only: «hai lăm» is 25, its «mươi» left out."""

SCALES_VI = {"nghìn": 1_000, "ngàn": 1_000, "triệu": 1_000_000, "tỷ": 1_000_000_000, "tỉ": 1_000_000_000}
TENS_VI = {"mười", "mươi"}
HALF_VI = {"rưỡi", "rưởi"}

POINTS = {"point", "phẩy", "chấm"}
JOINS = {"and", "a", "linh", "lẻ", *POINTS}
"""Words that count within a number only; `a` also where it begins one, as in `a hundred`."""

MAY_FOLLOW_A = {"hundred", *SCALES}
WORDS_EN = NUMBER_WORDS | {"and", "a", "half", "point"}
WORDS_VI = {*DIGITS_VI, *SCALES_VI, *TENS_VI, *HALF_VI, "trăm", "linh", "lẻ", "phẩy", "chấm"}

NONE = frozenset[float]()


def values_en(words: Sequence[str]) -> frozenset[float]:
    """`forty five`, `a hundred`, `fifteen hundred`, `four point five million`, `two and a half`, `nine zero one`."""
    said = ["one" if word == "a" else word for word in words]
    if "point" in said:
        return _with_decimals(said, _value_en, DIGITS_EN, SCALES)
    if "half" in said:
        at = said.index("half")
        whole, scales = _value_en(said[: max(0, at - 2)]), said[at + 1 :]
        if said[max(0, at - 2) : at] != ["and", "one"] or whole is None or not SCALES.keys() >= set(scales):
            return NONE
        return frozenset({_scaled(whole + 0.5, scales, SCALES)})
    if len(said) > 1 and said[1] == "hundred" and UNITS.get(said[0], 0) > 10:
        return frozenset({float(UNITS[said[0]] * 100 + (_value_en(said[2:]) or 0))})
    return frozenset(map(float, numbers_in(" ".join(said)))) | _digit_by_digit(said, DIGITS_EN)


def _value_en(words: Sequence[str]) -> int | None:
    return parse(words) if NUMBER_WORDS | {"and"} >= set(words) else None


def values_vi(words: Sequence[str]) -> frozenset[float]:
    """«bốn mươi lăm nghìn», «hai lăm», «ba phẩy năm triệu», «ba triệu rưỡi», «không chín một»."""
    said = ["phẩy" if word == "chấm" else word for word in words if word not in ("linh", "lẻ")]
    if "phẩy" in said:
        return _with_decimals(said, value_vi, DIGITS_VI, SCALES_VI)
    if said and said[-1] in HALF_VI:
        whole = value_vi(said[:-1])
        unit = SCALES_VI.get(said[-2], 100 if said[-2] == "trăm" else 1) if len(said) > 1 else 0
        return NONE if whole is None or not unit else frozenset({whole + unit / 2})
    value = None if HALF_VI & set(said) else value_vi(said)
    return (NONE if value is None else frozenset({float(value)})) | _digit_by_digit(said, DIGITS_VI)


def value_vi(words: Sequence[str]) -> int | None:
    """The value of Vietnamese number words; None when they are not plainly one number.

    «hai mươi lăm» is 25, «một trăm linh ba» 103, «bốn mươi lăm nghìn» 45000.
    """
    total = group = 0
    digit: int | None = None
    least = max(SCALES_VI.values()) * 1_000
    for word in words:
        if word in DIGITS_VI:
            if digit is not None and word not in AFTER_TENS_VI:
                return None
            group, digit = group + 10 * (digit or 0), DIGITS_VI[word]
        elif word in TENS_VI:
            group, digit = group + 10 * (1 if digit is None else digit), None
        elif word == "trăm":
            group, digit = group + 100 * (1 if digit is None else digit), None
        elif word in SCALES_VI:
            if SCALES_VI[word] >= least:
                return None
            least = SCALES_VI[word]
            total, group, digit = total + (group + (digit or 0) or 1) * least, 0, None
    return total + group + (digit or 0) if words else None


def _with_decimals(
    words: Sequence[str],
    value: Callable[[Sequence[str]], int | None],
    digits: Mapping[str, int],
    scales: Mapping[str, int],
) -> frozenset[float]:
    """`four point five million`: the decimals digit by digit, or as one number."""
    at = next(at for at, word in enumerate(words) if word in POINTS)
    rest = list(words[at + 1 :])
    last = len(rest)
    while last and rest[last - 1] in scales:
        last -= 1
    whole, decimals = value(words[:at]), rest[:last]
    told = "".join(str(digits.get(word, "?")) for word in decimals)
    if not told.isdigit():
        told = str(value(decimals))
    if whole is None or not told.isdigit():
        return NONE
    return frozenset({_scaled(float(f"{whole}.{told}"), rest[last:], scales)})


def _scaled(value: float, words: Sequence[str], scales: Mapping[str, int]) -> float:
    for word in words:
        value *= scales[word]
    return round(value, 6)


def _digit_by_digit(words: Sequence[str], digits: Mapping[str, int]) -> frozenset[float]:
    """Years and telephone numbers: «hai không hai lăm»."""
    told = "".join(str(digits.get(word, "?")) for word in words)
    return frozenset({float(told)}) if len(words) > 2 and told.isdigit() else NONE
