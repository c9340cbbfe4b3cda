"""A deployment that is killed with SIGKILL at each of its effects goes on under the same run id."""

import asyncio
from functools import partial

import pytest

from blocks.hosts.local import LocalHost
from blocks.manifests import Held
from blocks.store import open_store
from tasks.ops.service.history import Histories
from tests.tasks.ops.killing import killed_at
from tests.tasks.ops.service.test_deploy import Service, service

__all__ = ["service"]

CALLS = ((LocalHost, "run"), (Held, "put"))
ONCE = "echo x >> {tries}; test $(wc -l < {tries}) -gt 1"
"""Fails when it is asked first, and holds from then on."""


@pytest.mark.parametrize("verdict", ["good", "bad", "bad once"])
def test_wherever_a_deployment_is_killed_nothing_is_done_twice(verdict: str, service: Service) -> None:
    version = "bad2" if verdict == "bad" else "v2"
    tries = service.folder / "tries"
    once = [{"name": "runs", "argv": ["sh", "-c", ONCE.format(tries=tries)]}]
    moment, ends = 0, set[str]()
    while moment := moment + 1:
        run_id = f"{verdict.replace(' ', '-')}-{moment}"
        for path in (service.log, tries):
            path.unlink(missing_ok=True)
        plan = service.plan(
            version, limits={"most": 100}, attempts=100, **({"verify": once} if "once" in verdict else {})
        )
        was_killed = killed_at(moment, partial(service.deploy, plan, run_id=run_id), *CALLS)
        judged = Histories(open_store()).find("payments").is_failed_by(version, run_id)
        fails = verdict == "bad" or (verdict == "bad once" and (judged or not tries.exists()))
        made = asyncio.run(service.deploy(plan, run_id=run_id))
        assert all(service.done.count(f"{what} {version}") <= 1 for what in ("deploy", "rollback")), service.done
        if made.status == "in_doubt":
            assert was_killed
        elif fails:
            assert (made.status, service.done) == ("rolled_back", [f"deploy {version}", f"rollback {version}"])
        else:
            assert made.status == "deployed"
        ends.add(made.status)
        if not was_killed:
            break
        if version in Histories(open_store()).find("payments").versions:
            Histories(open_store()).clear("payments", version, "ann", "the next try")
    assert moment > 8
    assert ends >= {"good": {"deployed"}, "bad": {"rolled_back"}, "bad once": {"deployed", "rolled_back"}}[verdict]
