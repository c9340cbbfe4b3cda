"""Every place in which C500 keeps something, and what an export and an erasure do with it."""

from collections.abc import Iterator
from functools import cache

from tasks.personal_data.at_home import (
    by_json,
    by_path_name,
    counted_holder,
    effects_holder,
    home_holder,
    limits_holder,
)
from tasks.personal_data.holder import Holder
from tasks.personal_data.logged import logs_holder
from tasks.personal_data.prefect_runs import prefect_holder
from tasks.personal_data.recorded import (
    audit_holder,
    books_holder,
    keys_holder,
    memory_holder,
    trash_holder,
)
from tasks.personal_data.stored import (
    by_content,
    by_field,
    by_key,
    by_mark,
    by_name,
    by_record,
    by_run,
    files_holder,
    rows_holder,
)

APPROVALS = ("request.requester", "request.begun_by", "request.run_id")
REVIEWS = ("proposal.proposer", "proposal.begun_by", "proposal.run_id")


@cache
def holders() -> tuple[Holder, ...]:
    """All places, in the order in which they are erased: what tells of others comes before what it tells of them."""
    return (*_in_store(), *_at_home(), *_elsewhere(), *_without_persons())


def _in_store() -> Iterator[Holder]:
    yield files_holder("jobs", "jobs/", "recordings, transcripts, summaries, results, logs of jobs", by_name(1))
    yield files_holder("uploads", "uploads/", "uploads that wait for their job, or whose job failed", by_name(1))
    yield files_holder(
        "step results", "results/", "what steps gave, by content; names of files, small texts", by_content
    )
    yield files_holder("trash of audio", ".trash/", "audio that clean-audio took away, until TRASH is over", by_name(3))
    yield rows_holder("batches", "batches/", "a report for each batch, with a row for each recording", "erased")
    yield files_holder("swarms", "swarms/", "figures of a swarm's last run", by_content)
    yield files_holder("batches of prompts", "batch-prompts/", "figures of a batch's last run", by_content)
    yield files_holder("fleet reports", "fleets/", "figures of a fleet's last run", by_content)
    yield files_holder("agent tasks", "agent-tasks/", "figures of a task on an II-Agent server", by_content)
    yield rows_holder("quality", "quality/", "figures of jobs, audits, their pages")
    yield rows_holder("evaluations", "evaluations/", "scores and pages of evaluations")
    yield rows_holder("reports", "reports/", "reports of operations", named=True)
    yield files_holder("requests", "dispatches/", "requests, plans, answers of dispatches", by_name(1))
    yield files_holder("fast responses", "fast-response/", "replies and figures of fast-response runs", by_name(1))
    yield files_holder("session files", "sessions/", "files brought from II-Agent servers", by_name(1))
    yield files_holder(
        "agent runs", "agents/runs/", "goals, conversations, results of agents", by_name(2), covers="agents"
    )
    yield files_holder("agent teams", "agents/teams/", "plans and results of teams", by_name(2), covers="agents")
    yield files_holder("hand-offs", "agents/handoffs/", "work that agents gave to people", by_run(2), covers="agents")
    yield files_holder(
        "conversations", "agents/sessions/", "what was said in conversations", by_name(2), covers="agents"
    )
    yield rows_holder("intents", "agents/intents/", "which run makes which change, and what came of it", named=True)
    yield files_holder("escalations", "escalations/", "who was told of a request", by_record("approvals", *APPROVALS))
    yield files_holder("approval marks", "approvals/", "which are open", by_mark("approvals", *APPROVALS))
    yield files_holder(
        "approvals", "approvals/records/", "what was asked of people", by_field(*APPROVALS), covers="approvals"
    )
    yield files_holder("review marks", "reviews/", "which are open, and of which run", by_mark("reviews", *REVIEWS))
    yield files_holder(
        "reviews", "reviews/records/", "what agents proposed, and answers", by_field(*REVIEWS), covers="reviews"
    )
    yield files_holder(
        "quota counts", "gateway/usage/", "bytes that a key uploaded in a day", by_key(2), covers="gateway"
    )
    yield keys_holder()


def _at_home() -> Iterator[Holder]:
    yield home_holder("run records", "runs", "decisions, times, earlier versions of files of runs", by_path_name)
    yield home_holder("run results", "results", "what steps of agents' runs gave", by_path_name)
    yield trash_holder()
    yield home_holder("workspaces", "workspaces", "files that runs and conversations work on", by_path_name)
    yield home_holder("sessions", "sessions", "state, archive, tasks of II-Agent sessions", by_json("session_id"))
    yield home_holder("session downloads", "sessions", "files on their way", by_path_name, pattern="downloads/*")
    yield home_holder("session leases", "sessions", "who drives a session", by_path_name, pattern="leases/*")
    yield home_holder("fleets", "sessions", "what came of the jobs of a fleet", by_path_name, pattern="fleets/*")
    yield effects_holder()
    yield memory_holder()
    yield counted_holder()
    yield audit_holder()


def _elsewhere() -> Iterator[Holder]:
    yield books_holder()
    yield limits_holder()
    yield logs_holder()
    yield prefect_holder()


def _without_persons() -> Iterator[Holder]:
    """Places that are neither exported nor erased, and why."""
    operators = "what operators did to machines: evidence that is theirs; the name of who ran it stands in it"
    no_data = "nothing about a person or a job"
    for name, place, what, covers, why in (
        ("operations", "store: `operations/`", "runs, incidents, cases, plans", "store:operations", operators),
        ("templates", "store: `templates/`", "summary templates", "store:templates", no_data),
        ("service", "store: `service/`", "whose store it is", "store:service", no_data),
        ("gateway probe", "store: `gateway/probe`", "a probe of the store", "store:gateway", no_data),
        ("doctor probe", "store: `doctor/`", "a probe of the store", "store:doctor", no_data),
        (
            "store locks",
            "store: `.locks/`, `.scratch/`",
            "locks, files half written",
            "store:.locks",
            "gone with its process",
        ),
        ("scratch", "store: `.scratch/`", "files half written", "store:.scratch", "gone with its process"),
        (
            "holds and erasures",
            "store: `personal-data/`",
            "legal holds, plans of erasures, that an erasure was done",
            "store:personal-data",
            "a plan goes with its erasure; what stays of that has a pseudonym; a hold goes when it is released",
        ),
        ("case index", "AGENTS_HOME: `cases/`", "index of cases of operations", "home:cases", operators),
        ("policy", "AGENTS_HOME: `policy/`", "which profile is in force, by whom", "home:policy", operators),
        ("switches", "AGENTS_HOME: `switches/`", "stops, by whom and why", "home:switches", operators),
        ("tool servers", "AGENTS_HOME: `mcp/`", "which tools of servers were approved", "home:mcp", no_data),
        ("breakers", "AGENTS_HOME: `breakers/`", "which tools fail", "home:breakers", no_data),
        ("anchors", "AGENTS_HOME: `audit-anchors.jsonl`", "heads of the audit", "home:audit-anchors.jsonl", no_data),
        ("seals", "AGENTS_HOME: `audit.key`", "key of the audit", "home:audit.key", no_data),
        ("approval seals", "AGENTS_HOME: `approvals.key`", "key of approvals", "home:approvals.key", no_data),
        ("ballast", "AGENTS_HOME: `ballast`", "room kept free", "home:ballast", no_data),
        ("sweep lock", "AGENTS_HOME: `.sweep.lock`", "a lock", "home:.sweep.lock", no_data),
        (
            "prefect events",
            "Prefect's server: events",
            "names and states of runs",
            "prefect:event",
            "its API deletes none; the server itself does after 7 days",
        ),
        (
            "service database",
            "SERVICE_DIR",
            "the files of Prefect's server",
            "service:*",
            "its rows are deleted through its API; freed pages are written over by and by (`VACUUM`)",
        ),
        (
            "named files",
            "wherever they were named",
            "outputs of swarms and batches of prompts, exports, downloads with `--into`",
            "named:*",
            "C500 keeps no list of files that it was told to write elsewhere: they are their owner's",
        ),
        ("models", "MODELS_DIR", "weights", "models:*", no_data),
    ):
        yield Holder(name=name, place=place, what=what, covers=(covers,), exported=why, erased=why)


def inventory_markdown() -> str:
    """The table of all places, for the documentation."""
    lines = ["| place | what | export | erasure |", "|---|---|---|---|"]
    for one in holders():
        told = [value if isinstance(value, str) else "yes" for value in (one.exported, one.erased)]
        exported, erased = (f"no: {text}" if text != "yes" else text for text in told)
        lines.append(f"| {one.place} | {one.what} | {'no' if exported == erased != 'yes' else exported} | {erased} |")
    return "\n".join(lines)
