"""The file of the chain, and channels that it names."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from blocks.errors import BadInput, NotFound
from blocks.escalation import read_chain
from blocks.escalation.chain import channel_kind
from blocks.escalation.deliver import Undelivered, deliver
from tests.blocks.escalation.listening import Inbox, inbox

FILE = """
levels:
  - name: on-call
    channels: ["slack://T1/B2/s3cret-token", "block:slack-webhook/ops"]
    acknowledge_within_s: 300
  - name: lead
    channels: [env:LEAD_CHANNEL]
    acknowledge_within_s: 600
"""


@pytest.fixture
def mail() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "escalation.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_is_read(tmp_path: Path) -> None:
    chain = read_chain(written(tmp_path, FILE))
    assert [level.name for level in chain.levels] == ["on-call", "lead"]
    kinds = [channel_kind(one) for level in chain.levels for one in level.channels]
    assert kinds == ["slack://…", "block:slack-webhook/ops", "env:LEAD_CHANNEL"]
    assert "s3cret" not in repr(chain)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("levels: []", "levels"),
        ("levels:\n  - {name: a, channels: [], acknowledge_within_s: 1}", ":2:"),
        ("levels:\n  - {name: a, channels: [s3cret-token], acknowledge_within_s: 1}", "env:NAME"),
        ("levels:\n  - name: a\n    channels: [json://x]\n    acknowledge_within_s: 0", ":4:"),
        ("levels:\n  - name: a\n    channels: [json://x]", "acknowledge_within_s"),
        (FILE.replace("lead\n", "on-call\n"), "another level"),
        (FILE + "more: 1\n", "more"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_and_no_secret(tmp_path: Path, wrong: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_chain(written(tmp_path, wrong))
    assert told in caught.value.message
    assert "escalation.yaml:" in caught.value.message
    assert "s3cret" not in caught.value.message


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        read_chain(tmp_path / "none.yaml")


async def test_a_channel_may_be_in_the_environment(mail: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEAD_CHANNEL", mail.url)
    await deliver(SecretStr("env:LEAD_CHANNEL"), "subject", "body")
    assert mail.messages[0]["title"] == "subject"


async def test_a_channel_may_be_a_block_of_prefect(mail: Inbox, prefect_api: str) -> None:
    from prefect.blocks.notifications import CustomWebhookNotificationBlock

    block = CustomWebhookNotificationBlock(
        name="ops", url=f"http://{mail.address}/hook", json_data={"title": "{{subject}}", "text": "{{body}}"}
    )
    await block.asave("ops", overwrite=True)
    await deliver(SecretStr("block:custom-webhook/ops"), "subject", "body")
    assert mail.messages == [{"title": "subject", "text": "body"}]
    mail.refuse = True
    with pytest.raises(Undelivered):
        await deliver(SecretStr("block:custom-webhook/ops"), "subject", "body")


@pytest.mark.parametrize(
    "channel", ["block:slack-webhook/none", "block:secret/plain", "env:UNSET", "nothing://x/s3cret"]
)
async def test_a_channel_that_cannot_be_used_is_an_error_without_its_address(prefect_api: str, channel: str) -> None:
    from prefect.blocks.system import Secret

    await Secret(value="x").asave("plain", overwrite=True)  # pyright: ignore[reportUnknownMemberType]
    with pytest.raises(Undelivered) as caught:
        await deliver(SecretStr(channel), "subject", "body")
    assert "s3cret" not in caught.value.message
