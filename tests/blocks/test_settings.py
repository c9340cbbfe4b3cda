"""Settings: operators' names, and errors that name the variable, its value and what is allowed."""

from pathlib import Path
from threading import Event, Thread

import pytest

from blocks.errors import BadInput
from blocks.settings import Settings, settings


def test_defaults_are_the_operators_own() -> None:
    chosen = settings()
    assert chosen.max_file_size_mb == 500
    assert chosen.result_ttl == 86_400
    assert chosen.job_timeout == 600
    assert chosen.whisper_model_variant == "erax-wow-turbo"
    assert chosen.chunkformer_model_name == "khanhld/chunkformer-rnnt-large-vie"
    assert chosen.llm_enhance_gpu_memory_utilization == 0.9


def test_the_environment_wins_over_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("JOB_TIMEOUT=5\nMAX_FILE_SIZE_MB=7\n")
    monkeypatch.setenv("JOB_TIMEOUT", "9")
    settings.cache_clear()
    assert (settings().job_timeout, settings().max_file_size_mb) == (9, 7)


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("VAD_THRESHOLD", "1.5", "less than 1"),
        ("JOB_TIMEOUT", "soon", "integer"),
        ("WHISPER_DEVICE", "tpu", "'cuda'"),
        ("REDIS_URL", "localhost", "rediss?://"),
        ("LLM_ENHANCE_GPU_MEMORY_UTILIZATION", "0", "greater than 0"),
    ],
)
def test_a_wrong_value_names_variable_value_and_range(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, value)
    settings.cache_clear()
    with pytest.raises(BadInput) as caught:
        settings()
    assert variable in caught.value.message
    assert value in caught.value.message
    assert allowed in caught.value.message


def test_all_wrong_values_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAD_THRESHOLD", "2")
    monkeypatch.setenv("JOB_TIMEOUT", "-1")
    settings.cache_clear()
    with pytest.raises(BadInput, match=r"JOB_TIMEOUT.*VAD_THRESHOLD|VAD_THRESHOLD.*JOB_TIMEOUT"):
        settings()


def test_a_secret_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_LANGUAGE_API_KEY", "sk-very-secret")
    settings.cache_clear()
    assert "sk-very-secret" not in repr(settings())


def test_settings_whose_reading_began_before_a_change_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = Event(), Event()

    class Slow(Settings):
        def model_post_init(self, _context: object) -> None:
            begun.set()
            go_on.wait(30)

    settings.cache_clear()
    monkeypatch.setattr("blocks.settings.Settings", Slow)
    reading = Thread(target=settings)
    reading.start()
    begun.wait(30)
    monkeypatch.setenv("MAX_QUEUE_DEPTH", "7")
    clearing = Thread(target=settings.cache_clear)
    clearing.start()
    clearing.join(0.5)  # it may wait for the reading
    go_on.set()
    reading.join()
    clearing.join()
    assert settings().max_queue_depth == 7
