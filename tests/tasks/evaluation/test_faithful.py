"""Numbers, names and dates: which a summary has, and whether the transcript has them too."""

import unicodedata

import pytest

from tasks.evaluation.dates import dates_of
from tasks.evaluation.faithful import claims_of, names_in
from tasks.evaluation.numbers import numbers_of

TRANSCRIPT = (
    "Then we decided to move the release to the twentieth of March. Maria will call the customer before noon. "
    "The budget for this quarter is forty five thousand dollars. Please ask Robert to check it by Friday."
)
TRANSCRIPT_VI = (
    "Chúng ta thống nhất duyệt ngân sách bốn mươi lăm triệu đồng vào thứ hai. Chị Lan gọi cho anh Nguyễn Văn An "
    "trước ngày hai mươi tháng ba. Có 1.500 khách hàng."
)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("forty five thousand dollars", [{45000}]),
        ("45,000 or 45k or 0.045 million", [{45000, 45}, {45000}, {45000, 45000000}]),
        ("twenty twenty six", [{2026}]),
        ("the twenty-first and 3rd", [{21}, {3}]),
        ("hai mươi lăm nghìn", [{25000}]),
        ("một trăm linh ba và 1.500.000", [{103}, {1500000}]),
        ("2,5 triệu", [{2500000}]),
        ("$1.5M or 2bn or 3tr", [{1500000, 1.5}, {2000000000}, {3000000}]),
        ("four point five million", [{4500000}]),
        ("a hundred, a thousand, fifteen hundred and five", [{100}, {1000}, {1505}]),
        ("two and a half million", [{2500000}]),
        ("a twenty minute call", [{20}]),
        ("ba phẩy năm triệu", [{3500000}]),
        ("ba triệu rưỡi, hai rưỡi, một trăm rưỡi", [{3500000}, {2.5}, {150}]),
        ("bốn lăm triệu", [{45000000}]),
        ("hai không hai lăm", [{2025}]),
    ],
)
def test_numbers_have_every_value_they_may_mean(text: str, values: list[set[float]]) -> None:
    found = [one for one in numbers_of(text) if one.certain]
    assert len(found) == len(values)
    for one, may_mean in zip(found, values, strict=True):
        assert one.values == may_mean


def test_words_that_are_often_no_numbers_are_no_claims() -> None:
    assert not [
        one
        for one in numbers_of("One of us, the first. Năm nay không có ai. Tỷ lệ phần trăm. At this point.")
        if one.certain
    ]


@pytest.mark.parametrize(
    ("text", "day", "month", "year", "weekday"),
    [
        ("the twentieth of March", 20, 3, None, None),
        ("March 20th, 2025", 20, 3, 2025, None),
        ("2025-03-20", 20, 3, 2025, None),
        ("ngày 20/3/2025", 20, 3, 2025, None),
        ("20-03-2025", 20, 3, 2025, None),
        ("20 tháng 3 năm 2025", 20, 3, 2025, None),
        ("ngày hai mươi tháng ba", 20, 3, None, None),
        ("tháng ba", None, 3, None, None),
        ("on Friday", None, None, None, 5),
        ("thứ sáu", None, None, None, 5),
        ("chủ nhật", None, None, None, 7),
    ],
)
def test_dates_are_read_in_both_languages(
    text: str, day: int | None, month: int | None, year: int | None, weekday: int | None
) -> None:
    [found] = dates_of(text)
    assert (found.day, found.month, found.year, found.weekday) == (day, month, year, weekday)


def test_verbs_are_no_months() -> None:
    assert dates_of("we may march on") == []


def unsupported(summary: dict[str, object], transcript: str, language: str) -> set[tuple[str, str]]:
    return {(one.kind, one.text) for one in claims_of(summary, transcript, language) if not one.supported}


@pytest.mark.parametrize(
    "told",
    [
        "The release moves to March 20.",
        "Release on 20/03, as Maria said.",
        "The budget is $45,000; Robert checks it by Friday.",
        "Ngân sách 45.000 đô la, hạn thứ sáu, phát hành ngày 20 tháng 3.",
    ],
)
def test_what_was_said_in_other_words_is_supported(told: str) -> None:
    claims = claims_of({"summary": told}, TRANSCRIPT, "en")
    assert claims
    assert all(one.supported for one in claims), claims


def test_each_item_that_was_not_said_is_named() -> None:
    summary = {"summary": "The release moves to March 21, 2025. Maria Lopez of ACME agreed to 46,000.", "count": 12}
    assert unsupported(summary, TRANSCRIPT, "en") == {
        ("date", "March 21, 2025"), ("name", "Maria Lopez"), ("name", "ACME"), ("number", "46,000"), ("number", "12"),
    }  # fmt: skip


def test_a_year_that_was_not_said_is_not_supported() -> None:
    assert unsupported({"due": "2025-03-20"}, TRANSCRIPT, "en") == {("date", "2025-03-20")}


def test_vietnamese_summaries_are_held_against_spoken_numbers_names_and_dates() -> None:
    right = {"tóm_tắt": "Duyệt 45 triệu đồng vào thứ hai. Chị Lan gọi anh Nguyễn Văn An trước 20/3. Có 1500 khách."}
    wrong = {"tóm_tắt": "Duyệt 54 triệu đồng vào thứ ba. Chị Lan gọi anh Nguyễn Văn Bình trước 21/3."}
    assert unsupported(right, TRANSCRIPT_VI, "vi") == set()
    assert unsupported(wrong, TRANSCRIPT_VI, "vi") == {
        ("number", "54 triệu"), ("date", "thứ ba"), ("name", "Nguyễn Văn Bình"), ("date", "21/3"),
    }  # fmt: skip


def test_composed_and_decomposed_characters_are_the_same() -> None:
    apart = unicodedata.normalize("NFD", TRANSCRIPT_VI)
    told = "Bốn mươi lăm triệu vào thứ hai, chị Lan gọi anh Nguyễn Văn An trước ngày hai mươi tháng ba."
    for summary, said in ((told, apart), (unicodedata.normalize("NFD", told), TRANSCRIPT_VI)):
        claims = claims_of({"tóm_tắt": summary}, said, "vi")
        assert [one.kind for one in claims] == ["date", "date", "number", "name", "name"]
        assert all(one.supported for one in claims), claims


def test_a_name_may_have_its_tone_mark_in_the_old_place() -> None:
    assert unsupported({"ai": "Gọi chị Hòa."}, "gọi cho chị hoà nhé", "vi") == set()


def test_numbers_that_are_no_texts_count_without_their_sign_and_are_told_whole() -> None:
    claims = claims_of({"change": -5, "sum": 1_234_567, "rate": 4.5}, "minus five, 1,234,567, four point five", "en")
    assert [(one.text, one.supported) for one in claims] == [("-5", True), ("1234567", True), ("4.5", True)]


def test_names_are_capitals_within_sentences_and_known_names() -> None:
    assert names_in("Decisions were made. Then Maria met Bob’s team at Acme Corp.") == ["Maria", "Bob’s", "Acme Corp"]
    assert names_in("Weekly Budget Review Meeting With Maria") == ["Maria"]
    assert names_in("Hôm nay trời đẹp. Chị Lan gặp công ty FPT tại Hà Nội.", "vi") == ["Lan", "FPT", "Hà Nội"]
