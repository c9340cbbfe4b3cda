"""What a swarm costs: never above what was announced, and told so that the report and the books can be reconciled."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from blocks.accounts.account import Account, Model, Price, Quota
from blocks.accounts.books import Books
from blocks.accounts.costs import sums
from deployments.simulator.behaviour import Behaviour, parse_faults
from deployments.simulator.serve import InProcess, simulate
from flows import swarm
from tasks.swarm.report import SwarmReport, report_markdown
from tests.flows.swarming import PROMPT, SCHEMA, four, lines, write_accounts

Serve = Callable[..., InProcess]


@pytest.fixture
def serve(prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a simulator of these accounts."""
    monkeypatch.setenv("LIMITER_URL", "memory://")
    with ExitStack() as open_:

        def start(accounts: list[Account], **how: Any) -> InProcess:
            sim = open_.enter_context(simulate(accounts, Behaviour(**how)))
            write_accounts(tmp_path / "accounts.yaml", accounts, sim)
            return sim

        yield start


def of_tier(name: str, tier: str, usd: float, **quota: Any) -> Account:
    model = Model(price=Price(input_usd=usd, output_usd=usd), max_output_tokens=100, tiers=(tier,))
    fields = {"provider": "vllm", "base_url": "http://127.0.0.1:1", "key": "none", "quota": Quota(**quota)}
    return Account(name=name, models={tier: model}, **fields)


async def asked(tmp_path: Path, rows: int, **fields: Any) -> SwarmReport:
    wanted = {"prompt": PROMPT, "output": str(tmp_path / "out.jsonl"), "schema": SCHEMA, **fields}
    return await swarm([f"row {at}" for at in range(rows)], **wanted)


async def test_calls_that_spill_over_to_dearer_models_cost_no_more_than_was_announced(
    serve: Serve, tmp_path: Path
) -> None:
    dear = [of_tier("alpha", "moderate", 50, concurrency=3), of_tier("beta", "complex", 1_000)]
    serve([*dear, of_tier("gamma", "simple", 1, concurrency=2)], latency={"mean_ms": 50})
    announced = (await asked(tmp_path, 40, tier="simple", dry_run=True)).estimate
    report = await asked(tmp_path, 40, tier="simple")
    assert {one.account for one in report.accounts} == {"alpha", "beta", "gamma"}
    assert {one.account for one in report.accounts} <= set(announced.accounts)
    assert announced.cost_usd_most is not None
    assert report.cost_usd <= announced.cost_usd_most
    assert announced.spill_share > 0.5


async def test_the_report_and_the_books_can_be_reconciled(serve: Serve, tmp_path: Path) -> None:
    sim = serve(four(), faults=parse_faults("0.3"))
    first = await asked(tmp_path, 150, model="m")
    sim.change(faults={})
    lost = lines(first.output)[-1]
    whole = Path(first.output).read_text().splitlines(keepends=True)
    Path(first.output).write_text("".join(whole[:-1]))  # as after a power cut: what it cost is in the books only
    report = await asked(tmp_path, 150, model="m")
    books = Books(f"sqlite:///{tmp_path}/books.db")
    [of_job] = sums(books.engine(), ["job"], 0)
    books.close()
    told = report.booked
    assert told is not None
    assert of_job.group == {"job": f"swarm-{report.swarm_id}"}
    assert told.estimated_calls == of_job.estimated_calls > 0
    assert told.estimated_usd == pytest.approx(of_job.estimated_usd)
    assert told.cost_usd == pytest.approx(of_job.cost_usd)
    assert told.cost_usd - told.estimated_usd == pytest.approx(told.arrived_usd)
    assert told.arrived_usd == pytest.approx(report.cost_usd_in_all + lost["cost_usd"])
    markdown = report_markdown(report)
    assert f"${of_job.cost_usd:.6f} in the books under the job `swarm-{report.swarm_id}`" in markdown
    assert f"${lost['cost_usd']:.6f} for answers without a line" in markdown
    assert f"${told.estimated_usd:.6f} estimated, at most, for {told.estimated_calls} calls" in markdown
