"""Which speech engine is taken."""

import pytest

from blocks.errors import Unsupported
from blocks.settings import settings
from blocks.speech import registry


def test_a_plain_machine_has_sphinx() -> None:
    assert registry.choose("auto", None).info().name == "sphinx"
    assert registry.choose("auto", "en").info().name == "sphinx"


def test_a_server_is_preferred_once_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_SPEECH_URL", "http://127.0.0.1:9/v1")
    settings.cache_clear()
    assert registry.choose("auto", "vi").info().name == "openai"
    assert registry.choose("sphinx", "en").info().name == "sphinx"


def test_the_setting_names_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_SPEECH_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SPEECH_ENGINE", "sphinx")
    settings.cache_clear()
    assert registry.choose("auto", None).info().name == "sphinx"


@pytest.mark.parametrize(
    ("name", "language", "says", "how"),
    [
        ("auto", "vi", "'vi'", "OPENAI_SPEECH_URL"),
        ("sphinx", "vi", "'vi'", "OPENAI_SPEECH_URL"),
        ("openai", None, "not there", "OPENAI_SPEECH_URL"),
        ("ears", None, "ears", "sphinx"),
    ],
)
def test_what_cannot_be_had_says_how_to_get_it(name: str, language: str | None, says: str, how: str) -> None:
    with pytest.raises(Unsupported) as caught:
        registry.choose(name, language)
    assert says in caught.value.message
    assert how in caught.value.fix
