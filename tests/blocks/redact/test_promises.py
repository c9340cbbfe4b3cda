"""What holds of every text: cleaning it again changes nothing, it never fails, and takes time in proportion."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blocks.redact import Redactor
from blocks.redact.span import KINDS, marker

REDACTOR = Redactor(["correct-horse-battery", "REDACTED", "password"], vietnamese=True)

PIECES = st.sampled_from(
    [
        "password", "token", "api_key", "=", ": ", "\"", "'", "\\", "\\n", "\n", " ", "hunter2", "[REDACTED:password]",
        "[REDACTED:", "]", "sk-", "ghp_", "a1B2" * 10, "://", "@", ":", "Bearer ", "Authorization: ", "eyJhbGci", ".",
        "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "AKIA", "\u200b", "\x00", "\x1b[31m", "|\n  ", "&",
        "correct-horse-battery", "postgres://u:", "kind: Secret\ndata:\n  a: ", "--", "<password>", "</", "${", "}",
        "cookie: a=", "curl -u a:", "0912345678", "value", "İ", "khẩu", ", ", "is ", "Y29ycmVjdC1ob3JzZS1iYXR0ZXJ5",
    ]
)  # fmt: skip
TEXTS = st.one_of(st.text(st.characters(exclude_categories=())), st.lists(PIECES, max_size=25).map("".join))


@given(TEXTS)
def test_cleaning_again_changes_nothing(text: str) -> None:
    once = REDACTOR.text(text)
    assert REDACTOR.text(once) == once
    assert REDACTOR.found(once) == []


@given(TEXTS, TEXTS)
def test_a_known_secret_never_stays(before: str, after: str) -> None:
    secret = "Zq3vT9xK1mB7pL5sD2fG8"
    assert secret not in Redactor([secret]).text(f"{before}{secret}{after}")


@given(st.recursive(st.none() | st.floats() | TEXTS, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner)))
def test_a_value_can_be_cleaned_again_too(value: object) -> None:
    once = REDACTOR.value(value)
    assert repr(REDACTOR.value(once)) == repr(once)


def test_markers_stay_as_they_are() -> None:
    text = " ".join(f"password={marker(kind)}" for kind in KINDS)
    assert Redactor().text(text) == text


MEGABYTE = 1_000_000
WORST = [
    "password=", 'password="', "password: ", "token=f(", "sk-", "eyJ", "eyJ_", "eyJaaaaa.", "authorization: ", "sig=",
    "cookie: a=", "://", "://a:", "postgres://a:@", "-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY-----\nAA",
    "\u200b", "\x00p", " ", "\n", "\\", "\\n", "'", "[REDACTED:password]", "api_key: [", "password: |\n  ", "a",
    "kind: Secret\ndata:\n  a: b\n", "<password>", "password={{", "--password -", "curl -u a:b ", "0 9", "İ", "${",
]  # fmt: skip


@pytest.mark.timeout(30)  # half a second each; what takes the square of its length would take hours
@pytest.mark.parametrize("unit", WORST[::5])
def test_a_megabyte_made_to_be_slow_is_not(unit: str) -> None:
    text = unit * (MEGABYTE // len(unit))
    assert isinstance(Redactor(["correct-horse-battery"], vietnamese=True).text(text), str)


@pytest.mark.soak
@pytest.mark.timeout(120)
@pytest.mark.parametrize("unit", WORST)
def test_ten_megabytes_made_to_be_slow_are_not(unit: str) -> None:
    text = unit * (10 * MEGABYTE // len(unit))
    assert isinstance(Redactor(["correct-horse-battery"], vietnamese=True).text(text), str)


def test_importing_it_loads_nothing_heavy() -> None:
    code = "import sys, blocks.redact; print({'pydantic', 'prefect', 'structlog'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
