"""The report of operations as a flow: figures from all parts of C500, kept, sent, and whole where a source is not."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.objects import State
from prefect.flow_engine import run_flow_async
from prefect.flows import Flow
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running, Scheduled

from blocks.redact import default_redactor
from blocks.runs.record import ERROR, RunError
from blocks.settings import settings
from blocks.store import open_store
from deployments.server import temporary_server
from flows.report import report_operations
from tasks.ops.cases.case import CaseFacts, case_of
from tasks.ops.cases.library import open_library
from tasks.ops.options import OperationsOptions
from tasks.quality.report.period import Period, span_of, zone_of
from tasks.quality.report.report import OperationsReport
from tasks.quality.report.runs import read_runs
from tests.fakes.deployed import until
from tests.fakes.llm.agent_model import agent_model
from tests.fakes.operators import operators
from tests.tasks.quality.report import planted

OPTIONS = OperationsOptions(user="ann", profile="staging", ask_model=False)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOON = (datetime.now(UTC) - DAY).replace(hour=12, minute=0, second=0, microsecond=0)
"""Of yesterday, UTC."""

YESTERDAY = f"{NOON:%Y-%m-%d}"

CODE = "AKIA" + "ABCDEFGHIJKLMNOP"


@pytest.fixture
async def service(prefect_api: str) -> None:
    """A server that knows of other runs, as that of a service does."""
    async with get_client() as client:
        await ran(client, Completed(), flow="somebody-elses")


@pytest.fixture
def world() -> None:
    """A day on which something of everything happened."""
    files, chosen = open_store(), settings()
    at = NOON - DAY
    planted.keep_results(
        files,
        [
            *(planted.result(f"a{number}", NOON, taken_s=6.0 * (number + 1)) for number in range(10)),
            planted.result("b", at, status="partial"),
        ],
    )
    planted.keep_calls(chosen.books_url, [planted.call(NOON, 1.5), planted.call(at, 0.5, user="bob")])
    incidents = [planted.incident("inc-1", NOON, title=f"key {CODE} leaked", acknowledged_at=NOON + HOUR)]
    planted.keep_incidents(files, [*incidents, planted.incident("inc-2", at, status="resolved", resolved_at=NOON)])
    planted.keep_operation(files, "r1", NOON, "failed")
    planted.keep_operation(files, "r2", NOON - 3 * DAY)
    planted.keep_agent(files, "g1", NOON, "limited", code="BUDGET_EXCEEDED", cost_usd=0.75)
    planted.keep_recordings(files, "0a1b", NOON, done=3, failed=2)
    planted.keep_rows(files, "swarm", "5a", NOON, rows=100, out=90, failed=4, left=6, cost_usd=0.25)
    planted.keep_rows(files, "agent task", "7a", NOON, rows=1, out=0, failed=1, outcome="silent stop")
    case = case_of(CaseFacts(title="Disk was full"), added_at=NOON, added_by="ann", redactor=default_redactor())
    open_library().put(case)
    planted.accounts_file(chosen.accounts_file, "{everyone: {usd_per_day: 3}}")


@pytest.mark.usefixtures("world", "service")
async def test_everything_that_happened_on_a_day_is_in_its_report() -> None:
    report = await report_operations("day", YESTERDAY, zone="UTC", options=OPTIONS)
    told = {part.name: {one.name: one.value for one in part.figures} for part in report.parts}
    assert not report.gaps, report.gaps
    assert told["jobs"].items() >= {"jobs": 10, "complete": 10, "partial": 0, "rtf_median": 0.5, "rtf_p95": 1}.items()
    assert told["costs"].items() >= {"cost_usd": 1.5, "calls": 1}.items()
    assert told["incidents"].items() >= {
        "opened": 1, "ended": 1, "open": 1, "acknowledge_median_s": 3600, "resolve_median_s": 86_400, "cases": 1,
    }.items()  # fmt: skip
    assert told["operations"].items() >= {"begun": 1, "failed": 1}.items()
    assert told["agents"] == {"begun": 1, "ended": 1, "done_share": 0, "cost_usd": 0.75}
    assert told["batches"].items() >= {"ended": 3, "rows": 106, "failed_rows": 7}.items()
    (_, listed) = report.part("batches").tables
    assert listed.rows[0] == ("5a", "swarm", 100, 4, 0.25, "ended early")
    waits = {str(row[0]): row[1] for row in report.part("people").tables[0].rows}
    assert waits == {"open incidents": 1, "operations without an end for a day": 1}
    (budgets,) = [one for one in report.part("costs").tables if one.title.startswith("Budgets")]
    assert budgets.rows == (("everyone", "day", 3.0, 1.5, 0.5),)
    before = {one.name: one.before for part in report.parts if part.name == "jobs" for one in part.figures}
    assert (before["jobs"], before["partial"], before["complete"]) == (1, 1, 0)


@pytest.mark.usefixtures("world", "service")
async def test_it_is_kept_in_all_forms_without_secrets_and_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with operators(tmp_path) as (listening, channels):
        monkeypatch.setenv("OPERATIONS_CHANNELS_FILE", str(channels))
        settings.cache_clear()
        report = await report_operations("day", YESTERDAY, zone="UTC", send=True, options=OPTIONS)
    (subject, body), folder = listening.messages[0], f"reports/day/{NOON:%Y-%m-%d}"
    assert subject.startswith(f"C500 {NOON:%Y-%m-%d}: 10 jobs, 0 failed, $1.50, 1 incident, 2 things need a person")
    assert report.place == open_store().uri(folder) and f"{report.place}/report.html" in body
    assert report.is_sent and report.posted == "given to the operators' channels"
    kept = {name: open_store().read_bytes(f"{folder}/report.{name}").decode() for name in ("html", "md", "json")}
    assert OperationsReport.model_validate_json(kept["json"]) == report.model_copy(
        update={"posted": "", "is_sent": False}
    )
    assert "leaked" in kept["html"] and not any(CODE in text for text in (*kept.values(), body))


@pytest.mark.usefixtures("world", "service")
async def test_a_run_that_was_due_while_the_service_was_down_reports_the_day_that_it_was_to() -> None:
    given = {"zone": "UTC", "options": OPTIONS.model_copy(update={"dry_run": True})}
    async with get_client() as client:
        due = Scheduled(scheduled_time=NOON - DAY)
        late = await client.create_flow_run(report_operations, parameters=given, state=due)
    report = await run_flow_async(report_operations, flow_run=late, parameters=given)
    assert isinstance(report, OperationsReport) and report.period.name == f"{NOON - 2 * DAY:%Y-%m-%d}"


@pytest.mark.usefixtures("world", "service")
async def test_a_dry_run_keeps_and_sends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with operators(tmp_path) as (listening, channels):
        monkeypatch.setenv("OPERATIONS_CHANNELS_FILE", str(channels))
        settings.cache_clear()
        options = OPTIONS.model_copy(update={"dry_run": True})
        report = await report_operations("day", YESTERDAY, zone="UTC", send=True, options=options)
    assert report.part("jobs").figure("jobs") == 10 and not report.place
    assert not listening.messages and not list(open_store().list("reports/"))


@pytest.mark.usefixtures("world", "service")
async def test_what_cannot_be_read_is_named_and_the_rest_stands() -> None:
    files, chosen = open_store(), settings()
    files.put_bytes("jobs/x/result.json", b"{")
    files.put_bytes("operations/incidents/inc-9/manifest.json", b"{")
    files.put_bytes("agents/runs/g9/result.json", b"{}")
    files.put_bytes("fleets/f9/report.json", b"{}")
    Path(chosen.books_url.removeprefix("sqlite:///")).write_bytes(b"no database " * 100)
    chosen.accounts_file.write_text("accounts: 7\n")
    report = await report_operations("day", YESTERDAY, zone="UTC", options=OPTIONS)
    told = {gap.source: gap for gap in report.gaps}
    assert told.keys() == {
        "1 results that are damaged or of another version",
        "the usage ledger",
        "budgets",
        "1 incidents or cases",
        "1 runs of agents",
        "1 reports of batches",
        "costs of today",
    }
    assert "file is not a database" in told["the usage ledger"].why and told["budgets"].fix.startswith("correct ")
    assert report.part("jobs").figure("jobs") == 10 and report.part("agents").figure("ended") == 1
    assert report.part("incidents").figure("opened") == 1


@pytest.mark.usefixtures("service")
async def test_nothing_at_all_is_a_report_too() -> None:
    report = await report_operations("week", "", options=OPTIONS)
    assert report.is_empty and not report.gaps
    assert b"nothing happened" in open_store().read_bytes(f"reports/week/{report.period.name}/report.html")


@pytest.mark.usefixtures("world")
async def test_a_model_words_it_where_it_may(prefect_api: str) -> None:
    says = json.dumps({"summary": "Ten jobs, <b>one</b> incident."})
    with agent_model(settings().accounts_file, says) as models:
        report = await report_operations(
            "day", YESTERDAY, zone="UTC", options=OPTIONS.model_copy(update={"ask_model": True})
        )
        (prompt,) = models.script.prompts
        assert "# Operations:" in prompt
        await report_operations("day", YESTERDAY, zone="UTC", options=OPTIONS)
        assert len(models.script.prompts) == 1
    assert (report.summary, report.written_by) == ("Ten jobs, <b>one</b> incident.", "scripted")
    page = open_store().read_bytes(f"reports/day/{NOON:%Y-%m-%d}/report.md").decode()
    assert "Ten jobs" not in page, "the later report stands"


@pytest.fixture
async def client(prefect_api: str) -> AsyncIterator[PrefectClient]:
    """A client of the session's server."""
    async with get_client() as opened:
        yield opened


def span(since: datetime, until: datetime) -> Period:
    """From one moment to another."""
    return span_of(since.isoformat(), until.isoformat(), zone_of("UTC"), datetime.now(UTC))


async def ran(client: PrefectClient, *states: State, flow: str = "process-audio", code: str = "") -> datetime:
    """Have a run with these states; when it ended."""
    run = await client.create_flow_run(Flow(lambda: None, name=flow), state=Pending())
    if code:
        error = RunError(code=code, message="", fix="")
        await client.update_flow_run_labels(run.id, {ERROR: error.model_dump_json()})
    for state in states:
        await client.set_flow_run_state(run.id, state, force=True)
    return (await client.read_flow_run(run.id)).end_time or datetime.now(UTC)


async def test_runs_that_left_no_result_are_counted_by_their_ends(client: PrefectClient) -> None:
    await ran(client, Running(), Failed())
    begin = await ran(client, Running(), Failed(), code="AUDIO_DECODE_ERROR")
    await ran(client, Running(), Failed(), code="CRASHED", flow="process-text")
    await ran(client, Cancelled())
    await ran(client, Running(), Failed(), flow="somebody-elses")
    await ran(client, Running(), Crashed(), Running(), Completed())
    await ran(client, Running(), Crashed())
    await ran(client, Running(), Crashed(), flow="somebody-elses")
    end = await ran(client, Running(), Failed())

    async def told() -> bool:
        return (await read_runs(span(begin, end))).now.crashed == 2

    await until(told)  # events come a little later than states
    found = await read_runs(span(begin, end))
    now, before = found.now, found.before
    assert (sum(now.failed), now.cancelled, now.dead, now.recovered) == (2, 1, 1, 1), "it begins with one, ends before"
    assert now.codes == {"AUDIO_DECODE_ERROR": 1, "CRASHED": 1} and now.failed[0] >= 1
    assert (sum(before.failed), before.crashed, found.notes) == (1, 0, ())


@pytest.mark.soak
async def test_a_server_that_was_begun_for_the_report_does_not_say_that_nothing_failed() -> None:
    with temporary_server() as url, temporary_settings({PREFECT_API_URL: url}):
        report = await report_operations("day", YESTERDAY, zone="UTC", options=OPTIONS)
    (gap,) = report.gaps
    assert gap.source == "Prefect" and "knows of no other runs" in gap.why and report.is_empty
    assert report.part("jobs").figure("failed") is None
    assert report.part("jobs").gaps == (gap,)


@pytest.mark.usefixtures("service")
async def test_crashes_of_long_ago_are_not_told_as_none() -> None:
    long_ago = datetime.now(UTC) - timedelta(days=30)
    found = await read_runs(span(long_ago, long_ago + DAY))
    assert found.now.crashed is None and "Prefect keeps events for a week" in found.notes[0]
    partly = await read_runs(span(datetime.now(UTC) - timedelta(days=8), datetime.now(UTC) - DAY))
    assert partly.now.crashed == 0 and partly.before.crashed is None and "are not counted" in partly.notes[0]
