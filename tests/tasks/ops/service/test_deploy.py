"""A version deployed: checked, verified, taken back; never round in circles."""

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, Conflict, LimitReached, NotAllowed, NotFound
from blocks.hosts.inventory import ONLY_HERE
from blocks.manifests import Fenced
from blocks.resource_locks import ResourceLock, ResourceLocks
from blocks.store import open_store
from tasks.ops.service import holding, rolling_back
from tasks.ops.service.deploy import Deployment, deploy, markdown
from tasks.ops.service.history import Histories
from tasks.ops.service.plan import FORM, DeployPlan, read_deployment
from tasks.ops.service.rolling_back import RollbackLimits, RollbackResult, roll_back
from tests.tasks.ops.conftest import MakePerformer


class Service:
    """A service that runs the version in a file, if it is a good one."""

    def __init__(self, folder: Path, make_performer: MakePerformer) -> None:
        self.folder, self._make = folder, make_performer
        self.running = folder / "running"
        self.running.write_text("v1")
        self.log = folder / "log"

    def plan(self, version: str, **facts: Any) -> DeployPlan:
        """Deploys by writing the version; `bad` ones do not run."""

        def step(name: str, script: str, **more: Any) -> dict[str, Any]:
            return {"name": name, "argv": ["sh", "-c", script, "{version}"], **more}

        given: dict[str, Any] = {
            "service": "payments",
            "version": version,
            "checks": [step("disk", "true")],
            "deploy": [step("put", f'echo "deploy $0" >> {self.log}; printf %s "$0" > {self.running}')],
            "verify": [step("runs", f"! grep -q bad {self.running}")],
            "rollback": [step("back", f'echo "rollback $0" >> {self.log}; printf v1 > {self.running}')],
        }
        return FORM.validate_python(given | facts)

    async def deploy(self, plan: DeployPlan, run_id: str = "run-1", **facts: Any) -> Deployment:
        performer = self._make(run_id=run_id, flow="deploy-service", **facts)
        return await deploy(performer, open_store(), ONLY_HERE, plan)

    @property
    def done(self) -> list[str]:
        return self.log.read_text().splitlines() if self.log.exists() else []


@pytest.fixture
def service(tmp_path: Path, make_performer: MakePerformer) -> Service:
    return Service(tmp_path, make_performer)


async def test_a_good_version_is_deployed_once(service: Service) -> None:
    made = await service.deploy(service.plan("v2"))
    assert (made.status, service.running.read_text(), service.done) == ("deployed", "v2", ["deploy v2"])
    again = await service.deploy(service.plan("v2"))
    assert (again.status, service.done) == ("deployed", ["deploy v2"])
    assert Histories(open_store()).find("payments").versions["v2"].state == "deployed"


async def test_a_bad_version_is_taken_back_and_refused_until_a_person_clears_it(
    service: Service, told: list[tuple[str, str]]
) -> None:
    made = await service.deploy(service.plan("bad2"))
    assert (made.status, service.running.read_text()) == ("rolled_back", "v1")
    assert "verify/runs/local" in made.why and "payments bad2: rolled_back" in told[-1][0]
    for run_id in ("run-2", "run-3", "run-4"):
        with pytest.raises(NotAllowed, match="rolled back"):
            await service.deploy(service.plan("bad2"), run_id=run_id)
    assert service.done == ["deploy bad2", "rollback bad2"]
    Histories(open_store()).clear("payments", "bad2", "ann", "the disk was full")
    again = await service.deploy(service.plan("bad2"), run_id="run-5")
    assert again.status == "rolled_back"
    assert service.done == ["deploy bad2", "rollback bad2"] * 2


async def test_a_service_is_not_rolled_back_again_and_again(service: Service) -> None:
    made = [await service.deploy(service.plan(f"bad{number}"), run_id=f"run-{number}") for number in range(3)]
    assert [one.status for one in made] == ["rolled_back", "rolled_back", "not_rolled_back"]
    assert "what is wrong is not the version" in made[-1].why


async def test_the_same_run_goes_on_with_its_rollback(service: Service) -> None:
    first = await service.deploy(service.plan("bad2"))
    service.running.write_text("v1")
    again = await service.deploy(service.plan("bad2"))
    assert (first.status, again.status) == ("rolled_back", "rolled_back")
    assert service.done == ["deploy bad2", "rollback bad2"]


async def test_a_version_is_tried_only_so_often(service: Service) -> None:
    plan = service.plan("bad2", rollback=[])
    for run_id in ("run-1", "run-2"):
        assert (await service.deploy(plan, run_id=run_id)).status == "failed"
    with pytest.raises(LimitReached) as raised:
        await service.deploy(plan, run_id="run-3")
    assert raised.value.details["field"] == "attempts"
    assert service.done == ["deploy bad2"] * 2


async def test_checks_come_first(service: Service) -> None:
    plan = service.plan("v2", checks=[{"name": "disk", "argv": ["sh", "-c", "echo full >&2; exit 3"]}])
    made = await service.deploy(plan)
    assert (made.status, service.done) == ("checks_failed", [])
    assert "ended with 3: full" in made.why
    assert "v2" not in Histories(open_store()).find("payments").versions


async def test_a_deployment_that_fails_in_the_middle_is_taken_back(service: Service) -> None:
    steps = [*service.plan("v2").model_dump()["deploy"], {"name": "reload", "argv": ["false"]}]
    made = await service.deploy(service.plan("v2", deploy=steps))
    assert (made.status, service.done) == ("rolled_back", ["deploy v2", "rollback v2"])


async def test_a_rollback_that_fails_is_told_and_not_repeated(service: Service) -> None:
    plan = service.plan(
        "bad2", rollback=[{"name": "back", "argv": ["sh", "-c", f"echo tried >> {service.log}; exit 1"]}]
    )
    assert (await service.deploy(plan)).status == "rollback_failed"
    assert (await service.deploy(plan)).status == "rollback_failed"
    assert service.done == ["deploy bad2", "tried"]
    with pytest.raises(NotAllowed):
        await service.deploy(plan, run_id="run-2")


async def test_a_dry_run_only_checks(service: Service) -> None:
    made = await service.deploy(service.plan("v2"), dry_run=True)
    assert (made.status, service.done) == ("planned", [])
    assert not list(open_store().list("operations/"))
    assert "planned" in markdown(made)


async def test_one_deployment_of_a_service_at_a_time(service: Service) -> None:
    ResourceLocks(open_store()).take("services/payments", "another", term_s=60)
    with pytest.raises(Conflict):
        await service.deploy(service.plan("v2"))
    assert service.done == []


async def test_verification_is_tried_until_it_is_up(service: Service) -> None:
    script = f"echo x >> {service.folder}/tries; test $(wc -l < {service.folder}/tries) -ge 3"
    plan = service.plan("v2", verify=[{"name": "up", "argv": ["sh", "-c", script], "tries": 5, "wait_s": 0}])
    assert (await service.deploy(plan)).status == "deployed"


@pytest.mark.parametrize("version", ["-rf", "$(reboot)", "a b", "a\nb", "", "../x", "v" * 129])
def test_a_version_is_a_word_and_no_option(version: str, service: Service, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    path.write_text("service: payments\nversion: v1\ndeploy: [{name: put, argv: [echo, '{version}']}]\n")
    assert read_deployment(path, version="v2").deploy[0].words({"version": "v2"}) == ["echo", "v2"]
    with pytest.raises(BadInput) as raised:
        read_deployment(path, version=version)
    assert "version" in raised.value.message


async def test_a_host_that_is_not_there_is_told_before_anything(service: Service) -> None:
    with pytest.raises(NotFound):
        await service.deploy(service.plan("v2", rollback=[{"name": "back", "host": "web-9", "argv": ["true"]}]))
    assert service.done == []


async def test_what_verifying_found_stands_in_all_attempts_of_a_run(service: Service) -> None:
    plan = service.plan("bad2", rollback=[])
    assert (await service.deploy(plan)).status == "failed"
    service.running.write_text("mended by hand")
    again = await service.deploy(plan)
    assert (again.status, "verify/runs" in again.why) == ("failed", True)
    assert (await service.deploy(service.plan("v2"), run_id="run-2")).status == "deployed"
    service.running.write_text("bad")
    assert (await service.deploy(service.plan("v2"), run_id="run-2")).status == "deployed"


async def test_a_run_does_not_go_on_over_a_version_that_came_after_it(service: Service) -> None:
    histories = Histories(open_store())
    histories.begin_attempt("payments", "v2", "run-1", 2)
    assert (await service.deploy(service.plan("v3"), run_id="run-2")).status == "deployed"
    with pytest.raises(Conflict, match="v3 was deployed since"):
        await service.deploy(service.plan("v2"))
    assert (service.done, service.running.read_text()) == (["deploy v3"], "v3")


async def test_a_rollback_that_was_cut_off_does_not_take_a_later_version_away(service: Service) -> None:
    histories = Histories(open_store())
    histories.begin_attempt("payments", "bad2", "run-1", 2)
    histories.begin_rollback("payments", "bad2", "run-1", "it is bad", most=2, within_s=60)
    await service.deploy(service.plan("v3"), run_id="run-2")
    made = await service.deploy(service.plan("bad2"))
    assert (made.status, "another version" in made.why) == ("not_rolled_back", True)
    assert (service.done, service.running.read_text()) == (["deploy v3"], "v3")


async def test_a_dry_run_under_the_id_of_a_run_that_failed_takes_nothing_back(service: Service) -> None:
    histories = Histories(open_store())
    histories.begin_attempt("payments", "bad2", "run-1", 2)
    histories.judge("payments", "bad2", "run-1", "it is bad")
    made = await service.deploy(service.plan("bad2"), dry_run=True)
    assert (made.status, service.done) == ("planned", [])
    assert histories.find("payments").versions["bad2"].state == "failed"


async def test_a_service_is_held_however_long_a_command_takes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "TERM_S", 1.5)
    going = service.folder / "going"
    script = f"echo going > {going}; while test -e {going}; do sleep 0.1; done"
    plan = service.plan("v2", deploy=[{"name": "put", "argv": ["sh", "-c", script]}])
    deploying = asyncio.create_task(service.deploy(plan))
    until = first = (await held()).until
    while until <= first + timedelta(seconds=3):  # twice its term
        with pytest.raises(Conflict):
            await service.deploy(service.plan("v3"), run_id="run-2")
        until = (await held()).until
    going.unlink()
    assert (await deploying).status == "deployed"
    assert (await service.deploy(service.plan("v3"), run_id="run-2")).status == "deployed"


async def test_who_lost_the_service_ends_its_work(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holding, "TERM_S", 1.5)
    plan = service.plan("v2", deploy=[{"name": "put", "argv": ["sleep", "600"]}])
    deploying = asyncio.create_task(service.deploy(plan))
    await held()
    ResourceLocks(open_store()).take("services/payments", "run-1", term_s=60)  # itself, in another process
    with pytest.raises(Fenced):
        await deploying


async def held() -> ResourceLock:
    """The lock of the service once a run has it."""
    files = open_store()
    while (found := files.read_version("operations/locks/services/payments.json")) is None:  # noqa: ASYNC110 - the store has no event
        await asyncio.sleep(0.02)
    return ResourceLock.model_validate_json(found[0])


async def test_a_deployment_that_is_refused_is_no_deployment(service: Service) -> None:
    refused = [{"name": "put", "argv": ["reboot"]}]
    made = await service.deploy(service.plan("v2", deploy=refused))
    assert (made.status, Histories(open_store()).find("payments").versions["v2"].state) == ("failed", "failed")


async def test_a_rollback_waits_for_the_run_that_has_the_service(
    service: Service, make_performer: MakePerformer, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, locks = service.plan("bad2"), ResourceLocks(open_store())
    assert (await service.deploy(service.plan("bad2", rollback=[]))).status == "failed"
    other = locks.take("services/payments", "run-9", term_s=600)
    looked = asyncio.Event()

    async def roll_back_bad(**limits: float) -> RollbackResult:
        performer = make_performer(run_id="run-2")
        wanted = RollbackLimits.model_validate(limits)
        return await roll_back(performer, open_store(), ONLY_HERE, "payments", "bad2", plan.rollback, wanted, "bad")

    assert (await roll_back_bad(wait_s=0)).status == "not_rolled_back"
    taking = rolling_back.take

    async def take(*args: Any) -> ResourceLock:
        try:
            return await taking(*args)
        except Conflict:
            looked.set()
            raise

    monkeypatch.setattr(rolling_back, "take", take)
    waiting = asyncio.create_task(roll_back_bad())
    await looked.wait()
    locks.release(other)
    assert ((await waiting).status, service.done) == ("rolled_back", ["deploy bad2", "rollback bad2"])
