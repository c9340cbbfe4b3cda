"""`c500 effects`: a person finds out what a killed run was at, and says whether it happened."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.approvals import login_name
from blocks.audit import AuditLog, Entry, open_key, verify
from blocks.audit.log import records
from blocks.audit.places import AuditPlaces
from blocks.effects import EffectLedger
from blocks.errors import Conflict, NotFound
from blocks.redact import Redactor
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app, effects
from tasks.agents.result import AgentResult
from tasks.agents.runs import RunStore

assert effects.commands

RUN = "0123456789abcdef"
EFFECT = f"{RUN}/call_1"


def c500(*arguments: str) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["effects", *arguments])


class Effects:
    """Effects of runs, some of which were killed."""

    def __init__(self) -> None:
        self.ledger = EffectLedger(settings().agents_home / "effects")
        self.times = 0

    def killed(self, effect_id: str) -> None:
        """Leave an effect as a killed run does."""

        async def dies() -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            asyncio.run(self.ledger.once(effect_id, dies))

    def again(self, effect_id: str) -> Any:
        """What the run gets when it goes on."""

        async def happens() -> str:
            self.times += 1
            return "had now"

        return asyncio.run(self.ledger.once(effect_id, happens))


@pytest.fixture
def left() -> Effects:
    found = Effects()
    found.killed(EFFECT)
    return found


@pytest.fixture
def places(left: Effects) -> AuditPlaces:
    """The audit in which the call stands."""
    places = AuditPlaces(settings().agents_home)
    known = {"run_id": RUN, "call_id": "call_1", "agent": "operator", "user": "ann", "tool": "pay"}
    log = AuditLog(places.folder, open_key(places.key), Redactor())
    log.append(Entry(entry_id="1", phase="decided", arguments={"to": "bob\x1b[2J", "amount": 7}, **known))
    log.append(Entry(entry_id="2", phase="started", **known))
    return places


def said(places: AuditPlaces) -> list[Entry]:
    """What people said of effects."""
    assert verify(places.folder, open_key(places.key)).ok
    return [one.entry for one in records(places.folder, RUN) if one.entry.phase == "answered"]


def test_effects_in_doubt_are_listed_also_as_json(left: Effects) -> None:
    left.again(f"{RUN}/call_2")
    told = c500("list").stdout
    assert told.startswith(f"{EFFECT}  in doubt  since ")
    assert "call_2" not in told
    [facts] = json.loads(c500("list", "--json").stdout)
    assert (facts["effect_id"], facts["state"]) == (EFFECT, "in doubt")


def test_those_of_a_run_at_work_are_not_in_doubt(left: Effects) -> None:
    with open_store().lock(f"agents/run/{RUN}"):
        assert "no effect is in doubt" in c500("list").stderr
        assert f"{EFFECT}  run at work" in c500("list", "--all").stdout


def test_where_there_is_none_that_is_said() -> None:
    assert "no effect is in doubt" in c500("list").stderr
    assert json.loads(c500("list", "--json").stdout) == []


def test_an_effect_is_shown_with_the_call_that_has_it(left: Effects, places: AuditPlaces) -> None:
    told = c500("show", EFFECT).stdout
    assert "call     pay by agent operator for ann" in told
    assert '"to": "bob\\u001b[2J"' in told
    assert "\x1b" not in told
    facts = json.loads(c500("show", EFFECT, "--json").stdout)
    assert (facts["call"]["tool"], facts["call"]["arguments"]["amount"]) == ("pay", 7)


def test_an_effect_of_which_the_audit_knows_nothing_is_shown_all_the_same(left: Effects) -> None:
    assert "going on or in doubt" in c500("show", EFFECT).stdout
    assert json.loads(c500("show", EFFECT, "--json").stdout)["call"] is None


def test_how_an_effect_ended_is_shown(left: Effects) -> None:
    left.again(f"{RUN}/call_2")
    assert "had now" in c500("show", f"{RUN}/call_2").stdout


def test_who_says_that_it_happened_has_it_not_repeated(left: Effects, places: AuditPlaces) -> None:
    told = c500("settle", EFFECT, "--result", '{"receipt": 12}', "--reason", "the bank shows it")
    assert told.stdout == f"{EFFECT}: it happened\n"
    assert left.again(EFFECT) == {"receipt": 12}
    assert left.times == 0
    [entry] = said(places)
    assert (entry.outcome, entry.reasoning, entry.after) == (
        "settled: it happened", "the bank shows it", {"receipt": 12}
    )  # fmt: skip
    assert (entry.tool, entry.user, entry.call_id, entry.details) == ("pay", "ann", "call_1", {"by": login_name()})
    assert "done, settled" in c500("show", EFFECT).stdout


def test_without_a_result_the_agent_is_told_that_a_person_made_sure(left: Effects) -> None:
    c500("settle", EFFECT)
    assert left.again(EFFECT) == "it was done, as a person has made sure"


def test_who_says_that_it_did_not_happen_has_it_done(left: Effects, places: AuditPlaces) -> None:
    assert "it did not happen" in c500("release", EFFECT).stdout
    assert left.again(EFFECT) == "had now"
    assert left.times == 1
    assert [one.outcome for one in said(places)] == ["released: it did not happen"]


def test_what_was_not_done_is_not_promised_where_nothing_goes_on(left: Effects, places: AuditPlaces) -> None:
    left.killed(f"{RUN}/call_2")
    log = AuditLog(places.folder, open_key(places.key), Redactor())
    told = {"run_id": RUN, "call_id": "call_1", "agent": "operator", "user": "ann", "tool": "pay"}
    log.append(Entry(entry_id="3", phase="failed", outcome='{"error": {"code": "IN_DOUBT"}}', **told))
    assert "does not happen by itself any more" in c500("release", EFFECT).stdout
    done = AgentResult(
        run_id=RUN, agent="operator", goal="Pay.", status="done", profile="development", ended_at=datetime.now(UTC)
    )
    RunStore(open_store()).end(done, [])
    assert "its run has ended, so it does not happen" in c500("release", f"{RUN}/call_2").stdout


def test_the_beginning_of_an_id_is_enough(left: Effects) -> None:
    assert c500("settle", RUN[:6]).stdout == f"{EFFECT}: it happened\n"
    assert "is had when its run goes on" in released_after_a_kill(left)


def released_after_a_kill(left: Effects) -> str:
    left.killed(f"{RUN}/call_2")
    return c500("release", RUN[:6]).stdout


@pytest.mark.parametrize("verb", ["settle", "release"])
def test_what_is_not_in_doubt_cannot_be_talked_about(left: Effects, places: AuditPlaces, verb: str) -> None:
    left.again(f"{RUN}/call_2")
    assert isinstance(c500(verb, f"{RUN}/call_2").exception, Conflict)
    assert left.again(f"{RUN}/call_2") == "had now"
    assert isinstance(c500(verb, f"{RUN}/call_3").exception, NotFound)
    assert [one.outcome and one.outcome[:4] for one in said(places)][1:] == ["not "]


def test_nothing_is_settled_that_cannot_be_written_down(left: Effects, places: AuditPlaces) -> None:
    places.key.chmod(0o644)
    assert c500("settle", EFFECT).exit_code == 1
    assert [one.effect_id for one in left.ledger.begun()] == [EFFECT]
