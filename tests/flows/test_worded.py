"""Summaries of reports by a model: asked over HTTP where there is news, never in the place of the facts."""

import json
from pathlib import Path

import pytest

from blocks.settings import settings
from blocks.store import open_store
from flows.capacity import plan_capacity
from flows.drift import detect_drift
from flows.log_analysis import analyse_logs
from flows.maintenance import maintain
from tasks.ops.capacity.report import report_markdown as capacity_markdown
from tasks.ops.drift.report import report_markdown as drift_markdown
from tasks.ops.logs.report import markdown as logs_markdown
from tasks.ops.maintenance.result import summary_text
from tasks.ops.options import OperationsOptions
from tests.fakes.llm.agent_model import agent_model
from tests.tasks.ops.logs.logging_service import text

OPTIONS = OperationsOptions(user="ann", profile="staging", attended=False, run_id="run-1")
SAYS = json.dumps({"summary": "Look at ![it](http://tracker/x) first.\nThen <b>rest</b>."})
SHOWN = "Look at !\\[it](http://tracker/x) first. Then &lt;b>rest&lt;/b>. (Written by `scripted`.)"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "web.log"
    path.write_text(text(4_000) + "2026-11-22T08:03:20Z FATAL disk full\n")
    return path


async def test_logs(prefect_api: str, log: Path) -> None:
    with agent_model(settings().accounts_file, SAYS) as models:
        report = await analyse_logs([str(log)], None, OPTIONS)
    (prompt,) = models.script.prompts
    assert "FATAL disk full" in prompt
    assert report.written_by == "scripted" and SHOWN in logs_markdown(report)
    assert json.loads(open_store().read_bytes("operations/logs/reports/run-1.json"))["summary"] == report.summary


async def test_drift_capacity_and_maintenance(prefect_api: str, tmp_path: Path) -> None:
    declared, plan, todo = (tmp_path / f"{name}.yaml" for name in ("declared", "plan", "todo"))
    declared.write_text(f"targets: [{{name: web, files: [{{path: '{tmp_path}/none', state: present}}]}}]\n")
    plan.write_text("resources:\n  - {name: never, source: {kind: csv, file: none.csv}, limit: 1}\n")
    todo.write_text("tasks:\n  - {name: broken, kind: command, argv: ['false']}\n")
    with agent_model(settings().accounts_file, SAYS, SAYS, SAYS):
        drift = await detect_drift(str(declared), OPTIONS)
        capacity = await plan_capacity(str(plan), OPTIONS)
        maintenance = await maintain(str(todo), OPTIONS)
    assert SHOWN in drift_markdown(drift) and not drift.ok
    assert SHOWN in capacity_markdown(capacity) and not capacity.ok
    assert SHOWN in summary_text(maintenance) and not maintenance.ok


async def test_without_news_in_a_dry_run_or_when_told_not_to_no_model_is_asked(
    prefect_api: str, tmp_path: Path, log: Path
) -> None:
    todo = tmp_path / "todo.yaml"
    todo.write_text("tasks:\n  - {name: well, kind: command, argv: ['true']}\n")
    with agent_model(settings().accounts_file, SAYS) as models:
        assert (await maintain(str(todo), OPTIONS)).summary == ""
        report = await analyse_logs([str(log)], None, OPTIONS.model_copy(update={"ask_model": False}))
        assert report.written_by == "rules" and report.summary
        report = await analyse_logs([str(log)], None, OPTIONS.model_copy(update={"dry_run": True}))
        assert report.written_by == "rules" and report.summary
        assert models.script.asked == []


async def test_a_model_that_fails_costs_nothing_but_its_words(prefect_api: str, log: Path) -> None:
    with agent_model(settings().accounts_file, "no JSON", "none again", "nor now"):
        report = await analyse_logs([str(log)], None, OPTIONS)
    assert report.written_by == "rules" and "Written by" not in logs_markdown(report)
