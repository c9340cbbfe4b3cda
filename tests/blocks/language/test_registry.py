"""Choosing a language engine."""

import pytest

from blocks.errors import Unsupported
from blocks.language.registry import choose, entries
from blocks.settings import settings


def test_without_a_server_auto_is_the_engine_without_a_model() -> None:
    assert choose("auto").info().name == "extractive"


def test_with_a_server_auto_is_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_LANGUAGE_URL", "http://127.0.0.1:9/v1")
    settings.cache_clear()
    assert choose("auto").info().name == "openai"
    assert choose("extractive").info().name == "extractive"


def test_a_server_that_is_not_set_names_its_setting() -> None:
    with pytest.raises(Unsupported) as caught:
        choose("openai")
    assert "OPENAI_LANGUAGE_URL" in caught.value.fix


def test_an_unknown_name_gets_the_known_ones() -> None:
    with pytest.raises(Unsupported) as caught:
        choose("wizard")
    assert all(entry.name in caught.value.fix for entry in entries())


def test_the_key_is_not_in_the_engine_info(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_LANGUAGE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("OPENAI_LANGUAGE_API_KEY", "sk-secret")
    settings.cache_clear()
    assert "sk-secret" not in choose("openai").info().model_dump_json()
