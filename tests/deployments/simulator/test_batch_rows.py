"""Batches of prompts are rehearsed with a model that writes what it is asked for, whatever the plan."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from blocks.accounts.file import read_accounts
from deployments.simulator.asked import Asked
from deployments.simulator.batch_rows import answer
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, simulate
from flows.batch_prompts import batch_prompts
from tests.conftest import ROOT
from tests.flows.batch_prompting import GROUPS, lines, plan_file, table, texts
from tests.flows.swarming import account, write_accounts

DEMO = ROOT / "deployments" / "demo" / "batch_prompts"
SCRIPT = "deployments.simulator.batch_rows.answer"


@contextmanager
def rehearsed(folder: Path, accounts: Any, **behaviour: Any) -> Iterator[InProcess]:
    """The accounts, simulated, and named by the settings."""
    with simulate(accounts, Behaviour(**behaviour)) as sim:
        write_accounts(folder / "accounts.yaml", accounts, sim)
        yield sim


async def test_the_demo_is_complete_with_the_model_beside_it(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIMITER_URL", "memory://")
    behaviour = yaml.safe_load((DEMO / "behaviour.yaml").read_text()) | {"latency": {}}
    with rehearsed(tmp_path, read_accounts(DEMO / "accounts.yaml").accounts, **behaviour) as sim:
        report = await batch_prompts(str(DEMO / "plan.yaml"), output=str(tmp_path / "out.csv"))
        assert report.is_complete
        assert report.repairs > 0  # it is cut off now and then
        assert sim.books()["total"]["charged"]["unpriced"] == 0


@pytest.mark.parametrize("per_row", [{}, {"topic": 1, "step": ["need", "a, b=(1)"]}])
async def test_every_kind_of_column_and_key_is_answered(
    prefect_api: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_row: dict[str, Any]
) -> None:
    monkeypatch.setenv("LIMITER_URL", "memory://")
    table(tmp_path, texts(5), GROUPS[:1])
    columns: dict[str, Any] = {
        "short": {"type": "text", "max_chars": 9},
        "at_most": {"type": "integer", "max": -3, "about": "how cold it is"},
        "share": {"type": "number", "min": 0.5, "max": 0.7},
        "day": {"type": "date"},
        "yes": {"type": "boolean"},
        "choice": {"type": "choice", "choices": ["một", "hai"], "optional": True},
    }
    groups = {GROUPS[0]: {"prompt": "{% for one in rows %}{{ one['câu'] }}: {{ one['ý kiến'] }} {% endfor %}"}}
    plan_file(tmp_path, columns=columns, per_row=per_row, row_column="câu", groups=groups)
    with rehearsed(tmp_path, [account("a", model={"max_output_tokens": 8_000})], script=SCRIPT, faults={"length": 0.2}):
        report = await batch_prompts(str(tmp_path / "plan.yaml"))
    assert report.is_complete
    assert len(lines(tmp_path / "out.csv")) == 5 * (2 if per_row else 1)


def test_another_request_is_not_answered_by_it() -> None:
    assert answer(Asked(model="m", texts=("hello",), last="hello")) is None
