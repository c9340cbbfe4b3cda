"""Deployments and rollouts as flows: no sine wave of deploying and rolling back."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from blocks.audit.log import records
from blocks.audit.places import AuditPlaces
from blocks.effects import EffectLedger
from blocks.errors import BadInput, NotAllowed
from blocks.settings import settings
from blocks.store import open_store
from deployments.cli import app
from deployments.cli import deploy_service as _deploy
from deployments.cli import rollout as _rollout
from flows.rollout import watch_rollout
from flows.service_deployment import deploy_service
from tasks.ops.options import OperationsOptions
from tasks.ops.rollout.plan import read_rollout
from tasks.ops.service.history import Histories
from tasks.ops.service.plan import read_deployment
from tests.tasks.ops.rollout.recording import ERRORS, INTERVAL_S, record

assert _deploy and _rollout  # they register their commands

UNATTENDED = OperationsOptions(attended=False, profile="production")


@pytest.fixture
def plans(tmp_path: Path) -> Path:
    """A deployment of any version, and a rollout after it whose canary is bad."""
    record(tmp_path / "metrics.csv", {"errors": [0.2] * 10})
    log = tmp_path / "log"

    def step(name: str) -> dict[str, Any]:
        return {"name": name, "argv": ["sh", "-c", f'echo "{name} $0" >> {log}', "{version}"]}

    rollout = {
        "service": "payments",
        "version": "v1",
        "source": {"csv": "metrics.csv", "stale_s": 5},
        "metrics": [ERRORS],
        "interval_s": INTERVAL_S,
        "bake_s": 50,
        "rollback": [step("rollback")],
    }
    (tmp_path / "rollout.yaml").write_text(yaml.safe_dump(rollout))
    deployment = {"service": "payments", "version": "v1", "deploy": [step("deploy")], "watch": "rollout.yaml"}
    deployment["rollback"] = [step("rollback")]
    (tmp_path / "deploy.yaml").write_text(yaml.safe_dump(deployment))
    return tmp_path


def done(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


async def test_the_sine_wave_of_deploy_and_rollback_is_impossible(plans: Path, prefect_api: str) -> None:
    plan = read_deployment(plans / "deploy.yaml", version="v2")
    first = await deploy_service(plan, UNATTENDED)
    assert (first.status, first.watched) == ("deployed", "rolled_back")
    for _ in range(3):
        with pytest.raises(NotAllowed):
            await deploy_service(plan, UNATTENDED)
    again = await watch_rollout(read_rollout(plans / "rollout.yaml", version="v2"), UNATTENDED)
    assert (again.status, "already" in again.why) == ("not_rolled_back", True)
    assert done(plans) == ["deploy v2", "rollback v2"]
    # Nor by always another version: after two rollbacks people are asked.
    for version in ("v3", "v4", "v5"):
        await deploy_service(read_deployment(plans / "deploy.yaml", version=version), UNATTENDED)
    assert [line for line in done(plans) if line.startswith("rollback")] == ["rollback v2", "rollback v3"]


async def test_a_rollback_in_doubt_goes_on_once_a_person_has_said_what_happened(plans: Path, prefect_api: str) -> None:
    script = f"touch {plans}/begun; test -e {plans}/go || sleep 300; echo back >> {plans}/log"
    text = yaml.safe_load((plans / "rollout.yaml").read_text())
    text["rollback"] = [{"name": "back", "argv": ["sh", "-c", script]}]
    (plans / "rollout.yaml").write_text(yaml.safe_dump(text))
    plan, options = read_deployment(plans / "deploy.yaml", version="v2"), UNATTENDED.model_copy(update={"run_id": "r1"})
    deploying = asyncio.create_task(deploy_service(plan, options))
    while not (plans / "begun").exists():  # noqa: ASYNC110 - another process writes it
        await asyncio.sleep(0.02)
    deploying.cancel()
    with suppress(asyncio.CancelledError):
        await deploying
    again = await deploy_service(plan, options)
    assert (again.watched, "c500 effects" in again.why) == ("in_doubt", True)
    other = await watch_rollout(read_rollout(plans / "rollout.yaml", version="v2"), UNATTENDED)
    assert (other.status, "in doubt" in other.why) == ("not_rolled_back", True)
    ledger = EffectLedger(settings().agents_home / "effects")
    (effect,) = ledger.begun()
    ledger.release(effect.effect_id)
    (plans / "go").touch()
    assert (await deploy_service(plan, options)).watched == "rolled_back"
    assert (await deploy_service(plan, options)).watched == "rolled_back"
    assert done(plans) == ["deploy v2", "back"]


async def test_a_version_that_another_has_replaced_is_not_rolled_back(plans: Path, prefect_api: str) -> None:
    histories = Histories(open_store())
    histories.begin_attempt("payments", "v2", "a", 2)
    histories.begin_attempt("payments", "v3", "b", 2)
    watched = await watch_rollout(read_rollout(plans / "rollout.yaml", version="v2"), UNATTENDED)
    assert (watched.status, "another version" in watched.why) == ("not_rolled_back", True)
    assert not (plans / "log").exists()


async def test_the_same_run_again_gives_the_same(plans: Path, prefect_api: str) -> None:
    options = UNATTENDED.model_copy(update={"run_id": "again"})
    plan = read_rollout(plans / "rollout.yaml", version="v2")
    first, again = [(await watch_rollout(plan, options)).model_dump() for _ in range(2)]
    assert first == again
    assert done(plans) == ["rollback v2"]
    with pytest.raises(BadInput, match="another plan"):
        await watch_rollout(read_rollout(plans / "rollout.yaml", version="v9"), options)


async def test_a_deployment_that_its_watch_takes_back_is_not_taken_back_by_itself_too(
    plans: Path, prefect_api: str
) -> None:
    text = (plans / "rollout.yaml").read_text()
    (plans / "rollout.yaml").write_text(text.replace("name: rollback", "name: undo"))
    options = UNATTENDED.model_copy(update={"run_id": "both"})
    plan = read_deployment(plans / "deploy.yaml", version="v2")
    first, again = [await deploy_service(plan, options) for _ in range(2)]
    assert (first.status, first.watched) == (again.status, again.watched) == ("deployed", "rolled_back")
    assert done(plans) == ["deploy v2", "rollback v2"]


async def test_a_dry_run_does_nothing(plans: Path, prefect_api: str) -> None:
    dry = UNATTENDED.model_copy(update={"dry_run": True})
    made = await deploy_service(read_deployment(plans / "deploy.yaml"), dry)
    watched = await watch_rollout(read_rollout(plans / "rollout.yaml"), dry)
    assert (made.status, watched.status) == ("planned", "planned")
    assert "error-rate critical" in watched.why
    assert not (plans / "log").exists() and not list(open_store().list("operations/"))


def test_people_see_and_clear_versions() -> None:
    histories = Histories(open_store())
    histories.begin_attempt("payments", "v2", "run", 2)
    histories.begin_rollback("payments", "v2", "run", "error-rate critical", most=2, within_s=60)
    shell = CliRunner()
    assert "payments v2 (current) rolling_back" in shell.invoke(app, ["rollout", "history"]).output
    cleared = shell.invoke(app, ["rollout", "clear", "payments", "v2", "--because", "the disk was full"])
    assert cleared.exit_code == 0, cleared.output
    entry = next(one.entry for one in records(AuditPlaces(settings().agents_home).folder))
    assert (entry.phase, entry.reasoning) == ("answered", "the disk was full")
    assert entry.outcome == "payments v2 may be deployed again"
    shown = shell.invoke(app, ["rollout", "history", "payments"]).output
    assert (
        "(current) rolling_back" in shown and ": error-rate critical, cleared" in shown and "the disk was full" in shown
    )
    assert "failed" not in shown
    histories.clear("payments", "v2", "ann", "once more")
    record = histories.find("payments").versions["v2"]
    assert (record.cleared_from, record.cleared_why) == ("rolling_back", "once more")
    histories.check_deployable("payments", "v2", "another", 1)
    histories.begin_attempt("payments", "v2", "another", 2)
    shown = shell.invoke(app, ["rollout", "history", "payments"]).output
    assert "(current) deploying" in shown and "(it was rolling_back" in shown


def test_what_is_wrong_with_a_plan_is_told_with_its_line(plans: Path) -> None:
    text = (plans / "rollout.yaml").read_text().replace("bake_s: 50", "bake_s: -1")
    (plans / "rollout.yaml").write_text(text)
    with pytest.raises(BadInput) as raised:
        read_rollout(plans / "rollout.yaml")
    assert raised.value.details["line"] == next(n for n, line in enumerate(text.splitlines(), 1) if "bake_s" in line)


def test_a_watch_says_how_it_goes_unless_it_is_asked_for_json(plans: Path, prefect_api: str) -> None:
    told = CliRunner().invoke(app, ["rollout", "watch", str(plans / "rollout.yaml"), "--unattended"])
    assert "look 1, 10 of 50 s with data: error-rate critical 0.2" in told.stderr
    quiet = CliRunner().invoke(app, ["rollout", "watch", str(plans / "rollout.yaml"), "--unattended", "--json"])
    assert "look 1" not in quiet.stderr
