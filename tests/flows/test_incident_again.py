"""What an incident's run does when it comes again: after a death, a correction, a closing; and what it would do."""

from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

from blocks.errors import Conflict
from blocks.settings import settings
from blocks.store import open_store
from flows import responding
from flows.incident import respond_to_incident
from tasks.ops.incident.incident import closed
from tasks.ops.incident.intake import change, incidents, latest
from tasks.ops.incident.respond import utc_now
from tasks.ops.options import OperationsOptions
from tests.flows.incidents import World, world

__all__ = ["world"]

pytestmark = pytest.mark.usefixtures("prefect_api")

STAGING = OperationsOptions(profile="staging")
BOOK = "restart-checkout"


class Died(BaseException):
    """As a signal that nothing answers."""


async def test_a_run_that_dies_before_its_page_is_shown_shows_it_later(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def dying(*told: Any) -> None:
        raise Died

    alert = str(world.alert())
    with monkeypatch.context() as patched:
        patched.setattr(responding, "show_markdown", dying)
        with pytest.raises(Died):
            await respond_to_incident(alert)
    report = await respond_to_incident(alert)
    async with get_client() as client:
        key = ArtifactFilter(key=ArtifactFilterKey(any_=[f"incident-{report.incident_id}"]))
        [page] = await client.read_artifacts(artifact_filter=key)
    assert "checkout answers with errors" in str(page.data)
    assert len(world.operators.messages) == 1


async def test_a_runbook_that_could_not_be_used_is_run_once_it_is_put_right(world: World) -> None:
    path = world.folder / "runbooks" / f"{BOOK}.yaml"
    right = path.read_text()
    first = await respond_to_incident(str(world.alert()))
    path.write_text("name: restart-checkout\nsteps: 3\n")
    wrong = await respond_to_incident(incident=first.incident_id, run=(BOOK,), options=STAGING)
    [outcome] = wrong.outcomes
    assert (outcome.name, outcome.status) == (f"runbook/{BOOK}", "failed")
    path.write_text(right)
    again = await respond_to_incident(incident=first.incident_id, run=(BOOK,), options=STAGING)
    assert [one.status for one in again.outcomes] == ["done"]
    assert (world.folder / "ran").exists()
    said = [one.says for one in incidents(open_store()).read(first.incident_id).timeline if one.kind == "action"]
    assert said[0].startswith(f"runbook {BOOK}: failed, ") and f"{BOOK}.yaml" in said[0]
    assert said[1:] == [f"runbook {BOOK}: done"]


async def test_a_dry_run_tells_what_would_become_of_the_runbooks(world: World) -> None:
    first = await respond_to_incident(str(world.alert()))
    before = incidents(open_store()).read(first.incident_id)
    dry = OperationsOptions(profile="staging", dry_run=True)
    report = await respond_to_incident(incident=first.incident_id, run=(BOOK, "nothing"), options=dry)
    assert [(one.name, one.status) for one in report.outcomes if one.name != "briefing"] == [
        (f"runbook/{BOOK}", "planned"),
        ("runbook/nothing", "failed"),
    ]
    assert not (world.folder / "ran").exists()
    assert incidents(open_store()).read(first.incident_id) == before


@pytest.mark.parametrize("dry_run", [False, True])
async def test_an_incident_that_is_closed_is_not_gone_on_with(world: World, dry_run: bool) -> None:
    first = await respond_to_incident(str(world.alert()))
    change(open_store(), first.incident_id, lambda one: closed(one, utc_now(), "ann", "", ""))
    options = OperationsOptions(profile="staging", dry_run=dry_run)
    with pytest.raises(Conflict):
        await respond_to_incident(incident=first.incident_id, run=(BOOK,), options=options)
    assert not (world.folder / "ran").exists()
    assert len(latest(open_store(), 10, only_open=False)) == 1


async def test_an_inventory_that_is_not_there_is_a_gap(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INVENTORY_FILE", str(world.folder / "mistyped.yaml"))
    settings.cache_clear()
    report = await respond_to_incident(str(world.alert()))
    assert report.status == "briefed" and report.briefing is not None
    assert any("mistyped.yaml" in one.why for one in report.briefing.gaps if one.source == "service")


async def test_books_that_cannot_be_written_do_not_hold_the_message_up(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tasks.ops import asking
    from tests.fakes.llm.agent_model import agent_model

    sent_before: list[int] = []
    opened = asking.model_for

    def watched(*told: Any, **more: Any) -> Any:
        leaving = opened(*told, **more)

        class Watched:
            async def __aenter__(self) -> Any:
                return await leaving.__aenter__()

            async def __aexit__(self, *error: Any) -> Any:
                sent_before.append(len(world.operators.messages))
                return await leaving.__aexit__(*error)

        return Watched()

    monkeypatch.setattr(responding, "model_for", watched)
    with agent_model(Path("accounts.yaml"), '{"summary": "x", "hypotheses": []}'):
        await respond_to_incident(str(world.alert()))
    assert sent_before == [1]
