"""Finding models: what wins, what is refused, what the message says."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from blocks.models.catalogue import CATALOGUE, HUB_NAME, WHISPER_VARIANTS, lookup, named_by_settings, settings_that_name
from blocks.models.locate import find, folder_of, locate
from blocks.models.manifest import describe, digest, write_manifest
from blocks.settings import settings


def put(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "model.bin").write_bytes(b"weights")
    files = {"model.bin": digest(folder / "model.bin")}
    write_manifest(folder, describe("n", "org/n", "c0ffee", files, datetime.now(UTC)))


def test_a_short_name_is_found_where_the_pull_of_its_repository_put_it(models_dir: Path) -> None:
    put(models_dir / "Systran--faster-whisper-tiny")
    for name in ("tiny", "Systran/faster-whisper-tiny"):
        found = locate(name)
        assert found.folder == models_dir / "Systran--faster-whisper-tiny"
        assert found.name == name
        assert found.revision == "c0ffee"
        assert found.sha256


def test_an_existing_folder_wins(models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(models_dir / "org--mine")
    monkeypatch.setenv("HOME", str(tmp_path))
    own = tmp_path / "org" / "mine"
    own.mkdir(parents=True)
    for name in ("org/mine", str(own), "./org/mine", "~/org/mine"):
        found = locate(name)
        assert found.folder == own
        assert str(found.revision).startswith("local-")
        assert found.sha256 is None


def test_an_absent_model_names_the_command_that_pulls_it(models_dir: Path) -> None:
    with pytest.raises(NotFound) as caught:
        locate("erax-wow-turbo")
    assert caught.value.fix == "c500 models pull erax-wow-turbo"
    assert str(models_dir) in caught.value.message
    assert "MODELS_DIR" in caught.value.message
    assert find("erax-wow-turbo") is None


@pytest.mark.parametrize("begun", ["Systran--faster-whisper-tiny", ".pulling/Systran--faster-whisper-tiny"])
def test_a_half_pulled_model_is_said_to_be_incomplete(models_dir: Path, begun: str) -> None:
    (models_dir / begun).mkdir(parents=True)
    with pytest.raises(NotFound, match="incomplete") as caught:
        locate("tiny")
    assert caught.value.fix == "c500 models pull tiny"


NO_NAMES = ["../x", "org/../x", "a/b/c", "org/", "/x/y", "org/na me", "-a/b", "a--b/c", "a/b.", "a/b\n", "org/x\0"]
NO_NAMES += ["", " ", "~nobody/x", "x" * 5000, "ổ/x"]


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_name_leads_out_of_the_models(name: str, models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    models_dir.mkdir()
    monkeypatch.chdir(models_dir)
    with pytest.raises(BadInput):
        locate(name)


def test_every_row_has_a_name_the_hub_allows_and_short_names_are_unique() -> None:
    assert all(HUB_NAME.fullmatch(model.repo) for model in CATALOGUE)
    assert len({model.name for model in CATALOGUE}) == len(CATALOGUE)


def test_whisper_variants_are_those_of_faster_whisper() -> None:
    from faster_whisper.utils import _MODELS

    assert WHISPER_VARIANTS == _MODELS


def test_any_other_repository_is_taken_whole() -> None:
    assert lookup("someone/something").files == ("*",)


def test_settings_name_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WHISPER_MODEL_VARIANT", "turbo")
    monkeypatch.setenv("LLM_SUM_MODEL", "mobiuslabsgmbh/faster-whisper-large-v3-turbo")
    settings.cache_clear()
    assert {named.setting: named.name for named in named_by_settings()}["WHISPER_MODEL_VARIANT"] == "turbo"
    both = ("WHISPER_MODEL_VARIANT", "LLM_SUM_MODEL")
    assert settings_that_name("mobiuslabsgmbh/faster-whisper-large-v3-turbo") == both
    assert folder_of("a/b").name == "a--b"
