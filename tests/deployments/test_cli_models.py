"""`c500 models`, run as a user runs it, against a simulated hub."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployments.test_cli import c500
from tests.fakes.hub import FakeHub, fake_hub

REPO = "Systran/faster-whisper-tiny"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeHub]:
    """A running hub with one Whisper model; the mirror of all commands of the test."""
    monkeypatch.setenv("MODELS_DIR", str(tmp_path / "models"))
    with fake_hub() as running:
        running.commit(REPO, {"config.json": b"{}", "model.bin": os.urandom(5000), "vocabulary.txt": b"a\n"})
        monkeypatch.setenv("MODELS_MIRROR", running.url)
        yield running


def test_a_model_is_pulled_listed_and_checked(hub: FakeHub, tmp_path: Path) -> None:
    pulled = c500("models", "pull", "tiny")
    assert pulled.returncode == 0, pulled.stderr
    assert "3 files, 0.0 MB" in pulled.stdout
    assert str(tmp_path / "models" / "Systran--faster-whisper-tiny") in pulled.stdout
    listed = c500("models", "list", WHISPER_MODEL_VARIANT="tiny").stdout
    line = next(line for line in listed.splitlines() if REPO in line)
    assert hub.commits[REPO][0][0][:12] in line
    assert "speech, Whisper" in line
    assert "used by WHISPER_MODEL_VARIANT" in line
    for arguments in (["tiny"], [REPO], []):
        checked = c500("models", "check", *arguments)
        assert checked.returncode == 0, checked.stdout
        assert "all right" in checked.stdout


def test_a_changed_file_fails_the_check_and_a_pull_mends_it(hub: FakeHub, tmp_path: Path) -> None:
    c500("models", "pull", "tiny")
    weights = tmp_path / "models" / "Systran--faster-whisper-tiny" / "model.bin"
    weights.write_bytes(bytes(5000))
    for arguments, name in ((["tiny"], "tiny"), ([], REPO), ([str(weights.parent)], REPO)):
        checked = c500("models", "check", *arguments)
        assert checked.returncode == 1
        assert "model.bin: its content has changed" in checked.stdout
        assert checked.stdout.endswith(f"fix: c500 models pull {name}\n")
    assert c500("models", "pull", "tiny").returncode == 0
    assert c500("models", "check").returncode == 0


def test_a_damaged_copy_outside_models_dir_is_not_said_to_be_mended_by_a_pull(hub: FakeHub, tmp_path: Path) -> None:
    c500("models", "pull", "tiny")
    copy = (tmp_path / "models" / "Systran--faster-whisper-tiny").rename(tmp_path / "copy")
    (copy / "model.bin").write_bytes(bytes(5000))
    checked = c500("models", "check", str(copy))
    assert checked.returncode == 1
    assert f"fix: replace in {copy} what is wrong; a pull does not write outside MODELS_DIR" in checked.stdout


def test_without_a_name_the_models_of_the_settings_are_pulled(hub: FakeHub) -> None:
    hub.commit("org/words", {"model.safetensors": os.urandom(2000)})
    run = c500(
        "models",
        "pull",
        WHISPER_MODEL_VARIANT="tiny",
        CHUNKFORMER_MODEL_NAME=REPO,
        SPEAKER_MODEL="/opt/voices",
        LLM_ENHANCE_MODEL="data/models/words",
        LLM_SUM_MODEL="org/words",
    )
    assert run.returncode == 0, run.stderr
    assert [line.split(":")[0] for line in run.stdout.splitlines()] == ["tiny", "org/words"]
    assert "SPEAKER_MODEL names the folder /opt/voices: nothing to pull" in run.stderr
    assert "LLM_ENHANCE_MODEL names the folder data/models/words" in run.stderr


def test_one_model_that_fails_does_not_keep_the_others(hub: FakeHub) -> None:
    run = c500("models", "pull", "org/none", "tiny")
    assert run.returncode == 2
    assert "error: " in run.stderr
    assert "org/none" in run.stderr
    assert run.stdout.startswith("tiny: revision")


def test_what_the_settings_name_but_is_not_here_is_listed_with_its_fix(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "voices").mkdir()
    gone = str(tmp_path / "gone")
    listed = c500("models", "list", SPEAKER_MODEL=str(tmp_path / "voices"), LLM_ENHANCE_MODEL=gone).stdout
    assert "absent: c500 models pull erax-wow-turbo" in listed
    assert "absent: there is no such folder" in listed
    assert "a folder of your own" in listed


def test_unfinished_and_damaged_models_are_told_apart(hub: FakeHub, tmp_path: Path) -> None:
    models = tmp_path / "models"
    (models / "org--half").mkdir(parents=True)
    (models / "org--broken").mkdir()
    (models / "org--broken" / "c500-manifest.json").write_text("{")
    listed = c500("models", "list", LLM_SUM_MODEL="org/broken").stdout
    assert "incomplete; fix: c500 models pull org/half" in listed
    assert listed.count("is damaged") == 2
    checked = c500("models", "check")
    assert checked.returncode == 1
    assert "org/half: the pull is incomplete" in checked.stdout
    assert "fix: c500 models pull org/half" in checked.stdout
    assert "org/broken: " in checked.stdout
    assert "fix: c500 models pull org/broken" in checked.stdout


def test_a_folder_of_ones_own_has_nothing_to_be_checked_against(hub: FakeHub, tmp_path: Path) -> None:
    (tmp_path / "own--model").mkdir()
    run = c500("models", "check", str(tmp_path / "own--model"))
    assert run.returncode == 0
    assert "a folder of your own" in run.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["pull", "../x"], 2, "../x"),
        (["pull", "tiny", "--revision", "v9"], 2, "revision"),
        (["pull", "tiny", "--mirror", "nowhere"], 2, "nowhere"),
        (["pull", "tiny", "--mirror", "http://127.0.0.1:9"], 1, "cannot be reached"),
        (["check", "tiny"], 2, "tiny"),
    ],
)
def test_errors_are_one_line_what_and_one_line_how(hub: FakeHub, arguments: list[str], code: int, says: str) -> None:
    run = c500("models", *arguments)
    assert run.returncode == code, run.stderr
    what, how = run.stderr.strip().splitlines()
    assert what.startswith("error: ")
    assert says in what
    assert how.startswith("fix: ")


def test_a_gated_model_and_the_offline_switch_exit_3(hub: FakeHub) -> None:
    offline = c500("models", "pull", "tiny", HF_HUB_OFFLINE="1")
    assert offline.returncode == 3
    assert "HF_HUB_OFFLINE" in offline.stderr
    hub.gated.add(REPO)
    gated = c500("models", "pull", "tiny", HF_TOKEN="")
    assert gated.returncode == 3
    assert "licence" in gated.stderr
