"""Choosing a language engine."""

from pathlib import Path

import pytest

from blocks.errors import Unsupported
from blocks.language import registry
from blocks.language.registry import choose, entries
from blocks.settings import settings
from tests.fakes.vllm import install_fake_vllm


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


def fix_for(name: str) -> str:
    with pytest.raises(Unsupported) as caught:
        choose(name, "enhance")
    return caught.value.fix


def test_without_vllm_its_engines_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "find_spec", lambda name: None)
    monkeypatch.setattr(registry, "vllm_command", lambda: None)
    assert fix_for("vllm") == fix_for("vllm-server") == "pip install 'c500[gpu]'"


def test_vllm_wants_a_gpu_and_then_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_vllm(tmp_path, monkeypatch)
    monkeypatch.setattr(registry, "gpu_count", lambda: 0)
    assert "no GPU" in fix_for("vllm")
    assert "no GPU" in fix_for("vllm-server")
    monkeypatch.setattr(registry, "gpu_count", lambda: 1)
    for name in ("auto", "vllm", "vllm-server"):
        assert choose(name).info().name == ("vllm" if name == "auto" else name)
    monkeypatch.setenv("LLM_ENHANCE_MODEL", "org/absent")
    settings.cache_clear()
    assert fix_for("vllm") == fix_for("vllm-server") == "c500 models pull org/absent"


def test_a_server_that_is_set_comes_before_vllm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_fake_vllm(tmp_path, monkeypatch)
    monkeypatch.setattr(registry, "gpu_count", lambda: 1)
    monkeypatch.setenv("OPENAI_LANGUAGE_URL", "http://127.0.0.1:9/v1")
    settings.cache_clear()
    assert choose("auto").info().name == "openai"
