"""Stores with known contents: results, calls, incidents and the rest, of which the figures are known by hand."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from blocks.accounts.books import BATCH, Books, Entry
from blocks.batch import BatchItem, BatchReport
from blocks.job import JobOptions, JobResult, Metrics, Notice, Versions
from blocks.manifests import Manifests
from blocks.rows.report import Kind, RowsReport
from blocks.store.files import Files
from blocks.transcript import EngineInfo
from tasks.agents.result import AgentResult, AgentTrouble, AgentUsage
from tasks.ops.incident.incident import Event, Incident
from tasks.ops.incident.intake import PREFIX
from tasks.ops.run_records import RunRecord, RunRecords

SPHINX, WHISPER = EngineInfo(name="sphinx", version="5"), EngineInfo(name="whisper", version="1", model="large")


def result(job_id: str, at: datetime, **facts: Any) -> JobResult:
    """A result; of a recording of 60 s that took 30 s unless told otherwise."""
    audio_s, taken_s = facts.pop("audio_s", 60.0), facts.pop("taken_s", 30.0)
    metrics = {
        "step_time_s": {"transcribe": 0.8 * taken_s, "summarise": 0.2 * taken_s, "decode": 0.0},
        "vad_coverage": 0.5,
        "asr_confidence_avg": 0.9,
        "edit_rate_cleaning": 0.1,
    } | facts.pop("metrics", {})
    return JobResult(
        job_id=job_id,
        status=facts.pop("status", "complete"),
        source_name=f"{job_id}.wav",
        options=JobOptions(),
        metrics=Metrics(
            input_duration_s=audio_s,
            processing_time_s=taken_s,
            rtf=taken_s / audio_s if audio_s else None,
            **metrics,
        ),
        versions=Versions(
            pipeline="1", speech=facts.pop("engine", SPHINX), template=facts.pop("template", "meeting_notes")
        ),
        notices=tuple(Notice(step="summarise", code=code, message="") for code in facts.pop("notices", ())),
        finished_at=at,
        **facts,
    )


def keep_results(files: Files, results: Iterable[JobResult]) -> None:
    """Put results where jobs put them."""
    for one in results:
        files.put_bytes(f"jobs/{one.job_id}/result.json", one.model_dump_json().encode())


def keep_calls(url: str, calls: Iterable[Entry]) -> None:
    """Enter calls into the books."""
    books = Books(url)
    for number, one in enumerate(calls, 1):
        books.write(one)
        if number % BATCH == 0:
            books.flush()
    books.flush()
    books.close()


def call(at: datetime, usd: float, **facts: Any) -> Entry:
    """A call."""
    given = {"account": "first", "model": "small", "user": "ann", "outcome": "ok", "prompt_tokens": 100} | facts
    return Entry(at=at.timestamp(), completion_tokens=10, cost_units=round(usd * 1e9), **given)


def incident(name: str, opened_at: datetime, **facts: Any) -> Incident:
    """An incident."""
    acknowledged = facts.pop("acknowledged_at", None)
    timeline = [Event(at=opened_at, kind="opened", says=name)]
    timeline += [Event(at=acknowledged, kind="note", says="looking", by="ann")] if acknowledged else []
    return Incident(
        incident_id=name,
        title=facts.pop("title", f"{name} is broken"),
        severity=facts.pop("severity", "critical"),
        opened_at=opened_at,
        began_at=opened_at,
        timeline=tuple(timeline),
        **facts,
    )


def keep_incidents(files: Files, incidents: Iterable[Incident]) -> None:
    """Put incidents where the intake puts them."""
    kept = Manifests(files, PREFIX, Incident, kind="incident")
    for one in incidents:
        with kept.held(one.incident_id, one):
            pass


def keep_operation(files: Files, run_id: str, begun_at: datetime, ended: Any = None, **facts: Any) -> None:
    """Note a run of operations."""
    record = RunRecord(
        run_id=run_id,
        flow=facts.pop("flow", "run-runbook"),
        subject=facts.pop("subject", "restart.yaml"),
        user="ann",
        begun_at=begun_at,
        ended=ended,
        ended_at=begun_at + timedelta(minutes=5) if ended else None,
    )
    RunRecords(files).begin(record, same_subject=False)


def keep_agent(files: Files, run_id: str, ended_at: datetime, status: Any = "done", **facts: Any) -> None:
    """Keep what came of an agent's run."""
    code = facts.pop("code", None)
    told = AgentResult(
        run_id=run_id,
        agent=facts.pop("agent", "helper"),
        goal="tidy up",
        status=status,
        profile="development",
        trouble=AgentTrouble(code=code, message="", fix="") if code else None,
        usage=AgentUsage(cost_usd=facts.pop("cost_usd", 0.5), waited_s=facts.pop("waited_s", 0.0)),
        ended_at=ended_at,
    )
    begun = f'{{"started_at": "{(ended_at - timedelta(minutes=2)).isoformat()}"}}'
    files.put_bytes(f"agents/runs/{run_id}/begun.json", begun.encode())
    files.put_bytes(f"agents/runs/{run_id}/result.json", told.model_dump_json().encode())


def keep_recordings(files: Files, batch_id: str, at: datetime, done: int, failed: int) -> None:
    """Keep the report of a batch of recordings."""
    outcomes = ["done"] * done + ["failed"] * failed
    items = tuple(BatchItem(source=f"{number}.wav", outcome=one) for number, one in enumerate(outcomes))
    report = BatchReport(batch_id=batch_id, options=JobOptions(), items=items, finished_at=at)
    files.put_bytes(f"batches/{batch_id}/report.json", report.model_dump_json().encode())


def keep_rows(files: Files, kind: Kind, name: str, at: datetime, **facts: Any) -> None:
    """Keep the report of a swarm, or of another work over many rows."""
    given = {"outcome": "ended early"} | facts
    report = RowsReport(kind=kind, report_id=name, finished_at=at, **given)
    files.put_bytes(report.key, report.model_dump_json().encode())


def accounts_file(path: Path, budgets: str) -> None:
    """An accounts file with budgets."""
    path.write_text(
        "accounts:\n"
        "  - {name: first, provider: openai, key: none, models: {small: {price: {input_usd: 1, output_usd: 2}}}}\n"
        f"budgets: {budgets}\n"
    )
