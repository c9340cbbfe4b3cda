"""A fleet is planned before it begins, and what is impossible is refused with the limit that binds."""

import pytest

from blocks.errors import BadInput, LimitReached
from blocks.iiagent.books import RECYCLE_AFTER, note_session, recycled
from blocks.iiagent.server import AgentServer
from tasks.sessions import fleet_plan
from tasks.sessions.fleet_jobs import ready_jobs
from tasks.sessions.fleet_plan import FleetPlan, options_of, plan_of
from tasks.sessions.fleet_report import FleetFailed, FleetReport
from tests.blocks.iiagent.opened import server_at


def server(**fields: object) -> AgentServer:
    return server_at("http://10.0.0.1:1").model_copy(update={"max_sessions": 100, "cores": 2} | fields)


def planned(*servers: AgentServer, jobs: int = 100, **options: object) -> FleetPlan:
    known = servers or (server(),)
    ready = ready_jobs([{"name": f"j{at}", "prompt": "x"} for at in range(jobs)], known)
    return plan_of(ready, known, options_of(**options))


@pytest.mark.parametrize(
    ("fields", "options", "slots", "binding"),
    [
        ({}, {}, 4, "calls at once of fake"),  # (2 + 4) × 0.8 = 4.8
        ({}, {"duty": 0.5}, 9, "calls at once of fake"),
        ({"cores": 100}, {}, 25, "calls at once of fake"),  # asyncio's executor has 32 threads at most
        ({"max_sessions": 3}, {}, 3, "max_sessions of fake"),
        ({"sandbox": "docker", "cores": 8}, {}, 8, "cores of fake"),
        ({"sandbox": "docker", "cores": 16}, {"docker_free_gib": 9}, 2, "memory of fake"),
        ({}, {"requests_per_min": 12, "mean_turn_s": 10}, 2, "requests per minute of the accounts"),
    ],
)
def test_the_tightest_limit_binds(
    fields: dict[str, object], options: dict[str, object], slots: int, binding: str
) -> None:
    plan = planned(server(**fields), **options)
    assert (plan.slots, plan.binding.name) == (slots, binding)
    assert plan.check() == plan


def test_servers_add_up_each_with_its_own_limit() -> None:
    plan = planned(server(max_sessions=3), server(name="other"))
    assert plan.slots == 7
    assert {share.server: share.sessions for share in plan.servers} == {"fake": 3, "other": 4}


def test_a_server_that_no_job_may_run_on_carries_nothing() -> None:
    servers = (server(max_sessions=3), server(name="other"))
    only = ready_jobs([{"name": f"j{at}", "prompt": "x", "server": "fake"} for at in range(9)], servers)
    plan = plan_of(only, servers, options_of())
    assert (plan.slots, plan.binding.name) == (3, "max_sessions of fake")
    assert [share.server for share in plan.servers] == ["fake"]


def test_no_more_slots_than_jobs() -> None:
    assert planned(jobs=2).slots == 2


def test_more_than_can_be_is_refused_with_the_limit_that_binds() -> None:
    with pytest.raises(LimitReached) as raised:
        planned(n=10).check()
    assert raised.value.details["limit"] == "calls at once of fake"
    assert raised.value.details["possible"] == 4
    assert "2 cores + 4" in raised.value.message


def test_open_files_are_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_plan, "files_left", lambda: (256, 150))
    plan = planned(n=5, jobs=10)
    assert plan.binding.sessions == (256 - 150 - fleet_plan.FILES_KEPT) // fleet_plan.FILES_PER_SESSION
    with pytest.raises(LimitReached, match="open files"):
        plan.check()


@pytest.mark.parametrize(("failed", "share", "may"), [(29, 0.29, True), (30, 0.29, False), (0, 0, True), (1, 0, False)])
def test_so_many_jobs_may_fail_as_the_share_says(failed: int, share: float, may: bool) -> None:
    report = FleetReport(fleet_id="f", plan=planned(), failed=failed)
    assert report.is_within(share) is may
    if may:
        assert report.check(share) is report
    else:
        with pytest.raises(FleetFailed):
            report.check(share)


@pytest.mark.parametrize("options", [{"n": 0}, {"duty": 0}, {"allow_failures": 2}, {"start_every_s": -1}])
def test_options_that_cannot_be_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(BadInput) as raised:
        options_of(**options)
    assert raised.value.details["field"] == next(iter(options))


def test_a_server_that_has_had_many_sessions_is_to_be_restarted() -> None:
    for at in range(RECYCLE_AFTER - 1):
        note_session("fake", str(at))
    assert planned().servers[0].hint == ""
    note_session("fake", "one more")
    assert "restart it" in planned().servers[0].hint
    recycled("fake")
    assert planned().servers[0].hint == ""
