"""Who is told when: level by level, once each, whatever dies in between."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from blocks.approvals import Approval, Approvals
from blocks.approvals.refusals import OwnRequest
from blocks.errors import BadInput
from blocks.escalation import Chain, Escalation, Escalations, Level, climb
from blocks.escalation.deliver import Undelivered
from blocks.store import LocalFiles
from tests.blocks.approvals import asking
from tests.blocks.approvals.asking import NOW
from tests.blocks.escalation.listening import Inbox, inbox
from tests.conftest import ROOT


@pytest.fixture
def mail() -> Iterator[Inbox]:
    with inbox() as found:
        yield found


@pytest.fixture
def files(tmp_path: Path) -> LocalFiles:
    return LocalFiles(tmp_path / "store")


@pytest.fixture
def approvals(files: LocalFiles) -> Approvals:
    return asking.approvals(files)


@pytest.fixture
def approval(approvals: Approvals) -> Approval:
    return approvals.ask(asking.request())


@pytest.fixture
def escalations(files: LocalFiles) -> Escalations:
    return Escalations(files)


def level(name: str, *channels: str, within_s: float = 300) -> Level:
    secret = tuple(SecretStr(one) for one in channels)
    return Level(name=name, channels=secret, acknowledge_within_s=within_s)


def chain_of(mail: Inbox) -> Chain:
    return Chain(
        levels=(level("on-call", f"json://{mail.address}/first"), level("lead", f"json://{mail.address}/second"))
    )


async def step(approval: Approval, chain: Chain, escalations: Escalations, now: datetime, **more: Any) -> Escalation:
    return await climb(approval, chain, escalations, now, redact=more.pop("redact", str), **more)


def minutes(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


async def test_the_first_level_is_told_once(mail: Inbox, approval: Approval, escalations: Escalations) -> None:
    for minute in (0, 1, 2):
        await step(approval, chain_of(mail), escalations, minutes(minute))
    [message] = mail.messages
    assert "delete_file" in message["title"] and "medium" in message["title"]
    assert '"keep_days": 7' in message["message"]
    assert approval.request.approval_id in message["message"]
    [notice] = escalations.read(approval.request.approval_id).notices
    assert (notice.level, notice.state, notice.at, notice.tries) == ("on-call", "sent", NOW, 1)


async def test_the_next_level_is_told_when_nobody_acknowledges(
    mail: Inbox, approval: Approval, escalations: Escalations
) -> None:
    for minute in (0, 4.9):
        await step(approval, chain_of(mail), escalations, minutes(minute))
    assert mail.paths == ["/first"]
    for minute in (5, 6, 60):
        await step(approval, chain_of(mail), escalations, minutes(minute))
    assert mail.paths == ["/first", "/second"]


async def test_nobody_else_is_told_once_somebody_has_it_in_hand(
    mail: Inbox, approval: Approval, escalations: Escalations
) -> None:
    await step(approval, chain_of(mail), escalations, NOW)
    escalations.acknowledge(approval, by="bob", now=minutes(1))
    state = escalations.acknowledge(approval, by="eve", now=minutes(2))
    assert (state.acknowledged_by, state.acknowledged_at) == ("bob", minutes(1))
    await step(approval, chain_of(mail), escalations, minutes(30))
    assert mail.paths == ["/first"]


def test_who_asks_cannot_keep_it_from_others(approval: Approval, escalations: Escalations) -> None:
    with pytest.raises(OwnRequest):
        escalations.acknowledge(approval, by="Ann", now=NOW)
    with pytest.raises(BadInput):
        escalations.acknowledge(approval, by="", now=NOW)


async def test_secrets_do_not_leave(mail: Inbox, approvals: Approvals, escalations: Escalations) -> None:
    approval = approvals.ask(asking.request(arguments={"token": "s3cret"}, reason="s3cret is in it"))
    await step(approval, chain_of(mail), escalations, NOW, redact=lambda text: text.replace("s3cret", "[REDACTED]"))
    assert "s3cret" not in str(mail.messages)
    assert "[REDACTED]" in mail.messages[0]["message"]


async def test_what_an_agent_wrote_cannot_pass_for_ours(
    mail: Inbox, approvals: Approvals, escalations: Escalations
) -> None:
    approval = approvals.ask(asking.request(tool="read\nApproval denied", arguments={"a": "\x1b[2J\r\n\u202eevil"}))
    await step(approval, chain_of(mail), escalations, NOW)
    assert "\n" not in mail.messages[0]["title"]
    assert not {"\x1b", "\r", "\u202e"} & set(mail.messages[0]["message"])


async def test_a_message_that_is_refused_is_repeated_once_and_recorded(
    mail: Inbox, approval: Approval, escalations: Escalations
) -> None:
    mail.refuse = True
    one = Chain(levels=(level("on-call", mail.url),))
    for minute in range(4):
        await step(approval, one, escalations, minutes(minute))
    assert len(mail.messages) == 2
    assert "[may be a repeat]" not in mail.messages[0]["title"]
    assert "[may be a repeat]" in mail.messages[1]["title"]
    [notice] = escalations.read(approval.request.approval_id).notices
    assert (notice.state, notice.tries) == ("failed", 2)
    assert notice.fault and mail.address not in notice.fault


async def test_a_level_that_nothing_reaches_is_passed_over(
    mail: Inbox, approval: Approval, escalations: Escalations
) -> None:
    chain = Chain(levels=(level("nobody", "json://127.0.0.1:9/x"), *chain_of(mail).levels))
    for minute in (0, 1, 2):
        await step(approval, chain, escalations, minutes(minute))
    assert mail.paths == ["/first"]


async def test_a_channel_that_hangs_or_breaks_stops_no_other(
    mail: Inbox, approval: Approval, escalations: Escalations
) -> None:
    async def deliver(channel: SecretStr, *_: str) -> None:
        told.append(channel.get_secret_value())
        if "first" in channel.get_secret_value():
            raise Undelivered("it hung", fix="look at it")

    told: list[str] = []
    chain = Chain(levels=(level("on-call", "json://x/first", "json://x/second"),))
    await step(approval, chain, escalations, NOW, deliver=deliver)
    assert told == ["json://x/first", "json://x/second"]
    states = [one.state for one in escalations.read(approval.request.approval_id).notices]
    assert sorted(states) == ["failed", "sent"]


async def test_of_several_sweepers_at_once_one_tells(mail: Inbox, approval: Approval, escalations: Escalations) -> None:
    await asyncio.gather(*(step(approval, chain_of(mail), escalations, NOW) for _ in range(8)))
    assert mail.paths == ["/first"]


DYING = """
import asyncio, os, signal, sys
from datetime import datetime
from pathlib import Path
from blocks.escalation import Escalations, climb, deliver
from blocks.store import LocalFiles
from tests.blocks.approvals import asking
from tests.blocks.escalation.test_climb import Chain, level

store, address, when, sends = sys.argv[1:]
files = LocalFiles(Path(store))

async def dying(channel, subject, body):
    if sends == "yes":
        await deliver(channel, subject, body)
    os.kill(os.getpid(), signal.SIGKILL)

[approval] = asking.approvals(files).pending()
chain = Chain(levels=(level("on-call", f"json://{address}/first"),))
asyncio.run(climb(approval, chain, Escalations(files), datetime.fromisoformat(when), redact=str, deliver=dying))
"""


def killed_while_telling(files: LocalFiles, mail: Inbox, now: datetime, *, sends: bool) -> None:
    arguments = [str(files.root), mail.address, now.isoformat(), "yes" if sends else "no"]
    died = subprocess.run([sys.executable, "-c", DYING, *arguments], cwd=ROOT, check=False)
    assert died.returncode == -signal.SIGKILL


@pytest.mark.parametrize("sends", [False, True], ids=["before sending", "after sending"])
async def test_a_sweeper_that_is_killed_leads_to_one_more_message_that_says_so(
    mail: Inbox, approval: Approval, escalations: Escalations, files: LocalFiles, sends: bool
) -> None:
    killed_while_telling(files, mail, NOW, sends=sends)
    assert len(mail.messages) == int(sends)
    chain = Chain(levels=(level("on-call", mail.url),))
    await step(approval, chain, escalations, minutes(1))
    assert len(mail.messages) == int(sends), "the claim might still be that of a sweeper at work"
    for minute in (3, 4, 5):
        await step(approval, chain, escalations, minutes(minute))
    assert len(mail.messages) == int(sends) + 1
    assert mail.messages[-1]["title"].startswith("[may be a repeat]")


async def test_one_that_is_killed_twice_is_left(
    mail: Inbox, approval: Approval, escalations: Escalations, files: LocalFiles
) -> None:
    killed_while_telling(files, mail, NOW, sends=True)
    killed_while_telling(files, mail, minutes(3), sends=True)
    await step(approval, Chain(levels=(level("on-call", mail.url),)), escalations, minutes(60))
    assert len(mail.messages) == 2
