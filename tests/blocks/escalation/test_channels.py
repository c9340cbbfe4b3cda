"""The operators' channels: a file of its own form, and what became of a message."""

import asyncio
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from blocks.escalation.chain import channel_kind
from blocks.escalation.channels import UNSET, check_channels, post_to_operators, read_channels
from blocks.settings import settings
from tests.fakes.operators import operators


def written(folder: Path, text: str) -> Path:
    path = folder / "channels.yaml"
    path.write_text(text)
    return path


def test_a_list_of_channels_is_enough_and_the_form_of_the_escalation_file_is_taken(tmp_path: Path) -> None:
    listed = read_channels(written(tmp_path, "channels: ['json://a/b', env:OPS, block:slack-webhook/ops]\n"))
    assert [channel_kind(one) for one in listed] == ["json://…", "env:OPS", "block:slack-webhook/ops"]
    levels = "levels: [{name: ops, channels: ['json://a/b'], acknowledge_within_s: 60}]\n"
    assert [channel_kind(one) for one in read_channels(written(tmp_path, levels))] == ["json://…"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("channels: []\n", "channels"),
        ("channels:\n  - s3cret-token\n", ":2: channels.0: here belongs an address"),
        ("chanels: ['json://a']\n", "chanels"),
        ("- json://a\n", ":1:"),
    ],
)
def test_what_is_wrong_is_told_of_this_form_with_its_line_and_no_secret(tmp_path: Path, text: str, what: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_channels(written(tmp_path, text))
    assert what in caught.value.message
    assert "acknowledge" not in caught.value.message and "s3cret" not in caught.value.message
    assert "OPERATIONS_CHANNELS_FILE" in caught.value.fix


def test_a_channel_that_cannot_be_used_is_found_before_anything_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPS", raising=False)
    with pytest.raises(BadInput, match="channel env:OPS: the environment variable OPS is not set"):
        check_channels(written(tmp_path, "channels: [env:OPS]\n"))
    with pytest.raises(NotFound):
        check_channels(tmp_path / "none.yaml")


def test_what_became_of_a_message_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def post() -> str:
        settings.cache_clear()
        return asyncio.run(post_to_operators("subject", "body", str)).told

    monkeypatch.delenv("OPERATIONS_CHANNELS_FILE", raising=False)
    assert post() == UNSET
    monkeypatch.delenv("OPS", raising=False)
    with operators(tmp_path) as (listening, file):
        monkeypatch.setenv("OPERATIONS_CHANNELS_FILE", str(file))
        assert post() == "given to the operators' channels"
        [channel] = read_channels(file)
        written(tmp_path, f"channels: ['{channel.get_secret_value()}', env:OPS]\n")
        assert post() == "given to 1 of 2 channels: env:OPS: the environment variable OPS is not set"
        assert len(listening.messages) == 2
        written(tmp_path, "channels: 3\n")
        assert post().startswith("the channels cannot be used: ")
