"""Values as JSON has them keep their shape and lose their secrets."""

import json
from pathlib import Path
from typing import Any

import pytest

from blocks.redact import Redactor
from blocks.redact.names import secret_kind

REDACTOR = Redactor()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"password": "any words at all"}, {"password": "[REDACTED:password]"}),
        ({"password": 123456}, {"password": "[REDACTED:password]"}),
        ({"password": True, "token": 7, "token_count": 5}, {"password": True, "token": 7, "token_count": 5}),
        ({"apiKey": "x", "API Key": "y"}, {"apiKey": "[REDACTED:api-key]", "API Key": "[REDACTED:api-key]"}),
        ({"tokens": ["a", "b"], "n": [1, None]}, {"tokens": ["a", "b"], "n": [1, None]}),
        ({"secret": ["a", {"b": 1}]}, {"secret": ["[REDACTED:secret]", {"b": 1}]}),
        ({"password": {"value": "password=hunter2"}}, {"password": {"value": "password=[REDACTED:password]"}}),
        ({"password": "", "token": "${TOKEN}"}, {"password": "", "token": "${TOKEN}"}),
        ({"name": "DB_PASSWORD", "value": "x y"}, {"name": "DB_PASSWORD", "value": "[REDACTED:password]"}),
        ({"kind": "Secret", "data": {"any": "YQ=="}}, {"kind": "Secret", "data": {"any": "[REDACTED:secret]"}}),
        (["run", "--password", "x y", "-v"], ["run", "--password", "[REDACTED:password]", "-v"]),
        (["--token", "--force"], ["--token", "--force"]),
        (("a", {"b": ("token=hunter2",)}), ("a", {"b": ("token=[REDACTED:token]",)})),
        ({"Authorization": "Bearer x"}, {"Authorization": "[REDACTED:authorization]"}),
        ([1, 2.5, None, True, "plain"], [1, 2.5, None, True, "plain"]),
    ],
)
def test_a_value_keeps_its_shape(value: Any, expected: Any) -> None:
    assert REDACTOR.value(value) == expected
    assert REDACTOR.value(expected) == expected


def test_keys_are_cleaned_and_none_is_lost() -> None:
    cleaned = REDACTOR.value({"password=hunter2": 1, "password=hunter3": 2})
    assert cleaned == {"password=[REDACTED:password]": 1, "password=[REDACTED:password] 2": 2}


def test_what_is_no_json_stays_unless_its_text_has_a_secret() -> None:
    path, error = Path("/etc/hosts"), ValueError("password=hunter2")
    assert REDACTOR.value({"path": path, "error": error}) == {"path": path, "error": "password=[REDACTED:password]"}


def test_what_lies_too_deep_is_taken_out() -> None:
    deep: Any = "password=hunter2"
    for _ in range(5000):
        deep = [deep]
    assert "hunter2" not in json.dumps(REDACTOR.value(deep))


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "DB_PASSWORD",
        "userPassword",
        "password_2",
        "db-pass",
        "clientSecret",
        "SECRET_KEY_BASE",
        "authToken",
    ],
)
def test_names_of_secrets_are_known(name: str) -> None:
    assert secret_kind(name) is not None


@pytest.mark.parametrize(
    "name", ["max_tokens", "compass", "password_policy", "key", "monkey", "author", "next_page_token", "eos_token", ""]
)
def test_names_of_other_things_are_not_taken_for_secret(name: str) -> None:
    assert secret_kind(name) is None
