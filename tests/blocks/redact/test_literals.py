"""Known secrets are found in whatever form a program writes them."""

import base64
import html
import json
import re
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from blocks.redact import Redactor, default_redactor
from blocks.settings import settings

SECRET = 'p/w "ß\\+x&Zq3vT9'
WELL_KNOWN = "correct-horse-battery"
MARKER = "[REDACTED:known-secret]"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
@pytest.mark.parametrize("after", ["", "z", "yz"])
def test_base64_is_found_whatever_stands_around_the_secret(before: str, after: str) -> None:
    encoded = base64.b64encode(f"{before}{SECRET}{after}".encode()).decode()
    safe = base64.urlsafe_b64encode(f"{before}{SECRET}{after}".encode()).decode()
    for text in (encoded, safe):
        assert MARKER in Redactor([SECRET]).text(f"value: {text}!")


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        quote(SECRET, safe="").lower().replace("zq3vt9", "Zq3vT9"),
        json.dumps(SECRET),
        json.dumps(SECRET, ensure_ascii=False),
        json.dumps(json.dumps({"a": SECRET})),
        html.escape(SECRET),
        SECRET.encode().hex(),
        SECRET.encode().hex().upper(),
        base64.b64encode(SECRET.encode("utf-16-le")).decode(),
    ],
)
def test_every_form_of_a_known_secret_is_found(form: str) -> None:
    cleaned = Redactor([SECRET]).text(f"seen: {form} .")
    assert MARKER in cleaned
    assert "Zq3vT9" not in cleaned


@pytest.mark.parametrize(
    "text",
    [
        "correct-horse\n-battery",
        "correct-\r\n    horse-battery",
        '"correct-horse" +\n  "-battery"',
        "correct-horse\\\n-battery",
        r"correct-horse\n-battery",
        "correct\u200b-horse\x00-battery",
        "> correct-horse-\n> battery",
    ],
)
def test_a_known_secret_is_found_across_line_breaks(text: str) -> None:
    cleaned = Redactor([WELL_KNOWN]).text(f"x {text} y")
    assert MARKER in cleaned
    assert not {"correct", "horse", "battery"} & set(re.split(r"\W", cleaned))


def test_a_secret_of_several_lines_is_found_in_one_and_in_many() -> None:
    redactor = Redactor(["first-line\nsecond-line"])
    assert redactor.text("first-line\nsecond-line") == MARKER
    assert redactor.text(r"first-line\nsecond-line") == MARKER


def test_a_value_that_is_too_short_to_tell_is_passed_over() -> None:
    assert Redactor(["root", "", "  x  "]).text("root at the root") == "root at the root"


def test_a_secret_that_is_part_of_a_marker_leaves_markers_whole() -> None:
    redactor = Redactor(["password", "REDACTED"])
    once = redactor.text("password=hunter2 and REDACTED")
    assert redactor.text(once) == once
    assert "hunter2" not in once


def test_the_redactor_of_the_process_knows_settings_and_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = ("of-the-settings-1", "of-the-database-2", "of-redis-url-3", "of-the-variable-4")
    monkeypatch.setenv("SECRET_API_KEY", values[0])
    monkeypatch.setenv("SERVER_POSTGRES_URL", f"postgresql://ann:{values[1]}@db/x")
    monkeypatch.setenv("REDIS_URL", f"redis://:{values[2]}@cache/0")
    monkeypatch.setenv("SOME_API_TOKEN", values[3])
    monkeypatch.setenv("SSH_PRIVATE_KEY", str(tmp_path / "id_rsa"))
    settings.cache_clear()
    cleaned = default_redactor().text(f"{' '.join(values)} {tmp_path / 'id_rsa'}")
    assert cleaned == f"{' '.join([MARKER] * 4)} {tmp_path / 'id_rsa'}"
