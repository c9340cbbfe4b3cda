"""All metrics of C500 by their names; docs/monitoring.md explains them, dashboards and alerts ask for them.

Nothing is told by job, user, session or incident: there may be any number of those, and Prometheus keeps each series.
"""

from collections.abc import Mapping

from blocks.accounts.tally import BUCKETS_S
from blocks.agent_metrics import METRICS as COUNTED
from blocks.agent_metrics import Metric
from blocks.agent_metrics.names import counter, gauge, histogram

REQUEST_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
LIMIT_WAIT_S = (0.01, 0.1, 0.5, 1, 5, 10, 30, 60, 300)

RUN_S = (0.5, 1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14_400)
WAIT_S = (0.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600)
STEP_S = (0.1, 0.5, 1, 5, 10, 30, 60, 300, 600, 1800)
REAL_TIME = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 5)
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1)
EDITS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1)
MEMORY_BYTES = tuple(gigabytes * 1e9 for gigabytes in (0.25, 0.5, 1, 2, 4, 8, 16, 32, 64))

_ALL: tuple[Metric, ...] = (
    # HTTP and the gateway's process
    counter("c500_http_requests_total", "HTTP requests answered.", "route", "method", "status"),
    histogram(
        "c500_http_request_seconds",
        "Seconds from the request to the first byte of its answer.",
        *("route", "method"),
        buckets=REQUEST_S,
    ),
    gauge("c500_http_requests_in_hand", "HTTP requests not answered whole yet."),
    counter("c500_http_upload_bytes_total", "Bytes of recordings received."),
    counter("c500_http_refusals_total", "Requests refused by a limit or a full queue.", "code"),
    counter("c500_http_auth_failures_total", "Requests with a wrong API key."),
    gauge("c500_gateway_info", "1; the version is a label.", "version"),
    gauge("c500_gateway_start_time_seconds", "When the gateway began, in seconds since 1970."),
    gauge("c500_gateway_resident_memory_bytes", "Resident memory of the gateway."),
    gauge("c500_gateway_descriptors_used_ratio", "Open files and connections, as a share of what it may open."),
    gauge("c500_gateway_look_seconds", "How long the latest look at a part took.", "part"),
    gauge("c500_gateway_look_age_seconds", "How old what is told of a part is.", "part"),
    # Jobs: their queue by Prefect, what came of them by the store
    counter("c500_job_submissions_total", "Jobs accepted by this gateway.", "flow"),
    gauge("c500_job_queue_depth", "Jobs that wait for a worker."),
    gauge("c500_job_runs", "Jobs that Prefect knows, by the state of their run.", "state"),
    gauge("c500_job_up", "Whether the results of jobs can be read."),
    gauge("c500_job_stored", "Results of jobs that the store has."),
    counter("c500_job_results_total", "Results of jobs that came into the store.", "status"),
    counter("c500_job_engines_total", "The same by what made them.", "kind", "engine"),
    counter("c500_job_audio_seconds_total", "Seconds of audio that they had."),
    histogram("c500_job_seconds", "Seconds of work of a job.", buckets=RUN_S),
    histogram("c500_job_step_seconds", "Seconds of a step that was not found done.", "step", buckets=STEP_S),
    histogram("c500_job_real_time_ratio", "Processing time by audio duration.", "engine", buckets=REAL_TIME),
    histogram("c500_job_confidence_ratio", "Mean confidence of a transcript.", "engine", buckets=SHARES),
    histogram("c500_job_speech_ratio", "Seconds with speech by audio duration.", buckets=SHARES),
    histogram("c500_job_edit_ratio", "Words that the enhancement changed.", buckets=EDITS),
    histogram("c500_job_peak_memory_bytes", "The most memory that a job took.", buckets=MEMORY_BYTES),
    counter("c500_job_notices_total", "Notices of results: fallbacks, refusals, shortened inputs.", "code"),
    counter("c500_job_tokens_total", "Tokens that jobs used.", "kind"),
    counter("c500_job_cost_usd_total", "Dollars that jobs cost, where it is known."),
    counter("c500_job_unreadable_total", "Results that came into the store and cannot be read."),
    # Flow runs of all kinds, by Prefect
    gauge("c500_run_up", "Whether runs can be read from Prefect."),
    counter("c500_run_outcomes_total", "Flow runs that ended.", "flow", "state"),
    counter("c500_run_failures_total", "Flow runs that failed, by the code of the error.", "flow", "code"),
    histogram("c500_run_seconds", "Seconds at work of flow runs that ended.", "flow", buckets=RUN_S),
    histogram("c500_run_wait_seconds", "Seconds from when a run was due to its start.", "flow", buckets=WAIT_S),
    gauge("c500_run_at_work", "Flow runs at work.", "flow"),
    gauge("c500_run_oldest_seconds", "How long the oldest of them has been at work.", "flow"),
    gauge("c500_run_late", "Flow runs that were due a minute ago and were not begun."),
    gauge("c500_run_paused", "Flow runs that wait for a person."),
    # Prefect itself and its workers
    gauge("c500_prefect_up", "Whether the Prefect server answers."),
    gauge("c500_prefect_answer_seconds", "How long it took to answer."),
    gauge("c500_worker_online", "Workers whose heartbeat is fresh.", "pool"),
    # LLM accounts
    gauge("c500_llm_up", "Whether books and limits of the LLM accounts can be read."),
    counter("c500_llm_calls_total", "LLM calls.", "account", "model", "outcome"),
    counter("c500_llm_tokens_total", "Tokens of LLM calls.", "account", "model", "kind"),
    counter("c500_llm_cost_usd_total", "Cost of LLM calls in dollars.", "account", "model"),
    histogram(
        "c500_llm_latency_seconds",
        "Seconds of LLM calls that were answered, since this gateway began.",
        *("account", "model"),
        buckets=BUCKETS_S,
    ),
    gauge("c500_llm_limit_used_ratio", "Used and held share of an account's limit.", "limit"),
    gauge("c500_llm_limit_blocked", "Whether nothing is granted of a limit.", "limit"),
    counter("c500_llm_refusals_total", "Chat completions this gateway refused by a limit or a budget.", "code"),
    histogram("c500_llm_wait_seconds", "Seconds that chat completions waited for limits.", buckets=LIMIT_WAIT_S),
    # Quality, by the latest audit
    gauge("c500_quality_up", "Whether the latest audit of quality can be read."),
    gauge("c500_quality_verdict", "1 for what the latest audit came to.", "verdict"),
    gauge("c500_quality_expectations", "Expectations of a suite by what became of them.", "suite", "outcome"),
    gauge("c500_quality_unmet", "Expectations of a suite that were not met or not judged.", "suite", "severity"),
    gauge("c500_quality_audited_timestamp_seconds", "When it was audited, in seconds since 1970."),
    gauge("c500_quality_period_end_timestamp_seconds", "When the audited period ended, in seconds since 1970."),
    gauge("c500_quality_jobs", "Jobs of the period."),
    gauge("c500_quality_real_time_ratio", "Processing time of all recordings by their length."),
    gauge("c500_quality_speech_ratio", "Mean share of speech, by length."),
    gauge("c500_quality_confidence_ratio", "Mean confidence, by length."),
    gauge("c500_quality_edit_ratio", "Mean share of words that the enhancement changed."),
    gauge("c500_quality_summary_filled_ratio", "Mean share of fields of summaries that are filled."),
    gauge("c500_quality_partial_ratio", "Share of jobs that are partial."),
    gauge("c500_quality_no_speech_ratio", "Share of recordings without speech."),
    gauge("c500_quality_cost_usd", "Dollars that the period cost, where it is known."),
    gauge("c500_quality_minute_cost_usd", "Dollars for a minute of audio."),
    gauge("c500_quality_unreadable", "Files of jobs that cannot be read."),
    gauge("c500_quality_lost_jobs", "Jobs that were begun, have no result, and of which nothing is known."),
    gauge("c500_quality_lost_rows", "Rows of batches and swarms of which their report says nothing."),
    # Sessions on II-Agent servers
    gauge("c500_session_up", "Whether the sessions of this machine can be read."),
    gauge("c500_session_stored", "Sessions that this machine keeps.", "status"),
    gauge("c500_session_opened", "Sessions opened on a server since it was last said to be restarted.", "server"),
    # GPUs
    gauge("c500_gpu_up", "Whether the GPUs of this machine can be read."),
    gauge("c500_gpu_memory_size_bytes", "Memory of a GPU.", "gpu"),
    gauge("c500_gpu_memory_used_bytes", "Memory of a GPU that all processes take.", "gpu"),
    gauge("c500_gpu_busy_ratio", "Share of the last moments in which a GPU computed.", "gpu"),
    gauge("c500_gpu_held", "Runs that hold a GPU, of one that may.", "gpu"),
    # Store, disks and databases
    gauge("c500_store_up", "Whether the store answers."),
    gauge("c500_store_answer_seconds", "How long it took to answer."),
    gauge("c500_store_disk_size_bytes", "Size of a disk that is watched, by a folder on it.", "place"),
    gauge("c500_store_disk_free_bytes", "What may still be written to it.", "place"),
    gauge("c500_store_disk_used_ratio", "Share of it that is used, of bytes or of files, the fuller.", "place"),
    gauge("c500_database_up", "Whether all databases of this gateway answer."),
    gauge("c500_database_reachable", "Whether a database answers.", "database"),
    gauge("c500_database_size_bytes", "Size of a database in a file.", "database"),
    # Operations
    gauge("c500_operations_up", "Whether the records of operations can be read."),
    gauge("c500_operations_runs", "Runs of operations that the store knows, by how they ended.", "flow", "outcome"),
    gauge("c500_operations_oldest_open_seconds", "Since when the oldest has not ended, or died.", "flow"),
    gauge("c500_operations_completed_timestamp_seconds", "When one was last completed, since 1970.", "flow"),
    gauge("c500_incident_up", "Whether the incidents can be read."),
    gauge("c500_incident_stored", "Incidents by state; `damaged` cannot be read.", "status"),
    gauge("c500_incident_open", "Open incidents.", "severity"),
    gauge("c500_incident_oldest_seconds", "How long the oldest open one has been open.", "severity"),
    gauge("c500_incident_unbriefed", "Open incidents whose briefing nobody has got."),
    gauge("c500_migration_up", "Whether the migrations can be read."),
    gauge("c500_migration_stored", "Migrations by status; `damaged` cannot be read.", "status"),
    gauge("c500_migration_still_seconds", "How long the stillest has not changed.", "status"),
    gauge("c500_drift_up", "Whether the latest report of drift can be read."),
    gauge("c500_drift_items", "What the latest look for drift has left so.", "state"),
    gauge("c500_drift_checked_timestamp_seconds", "When that was, in seconds since 1970."),
    gauge("c500_capacity_up", "Whether the latest outlook on capacity can be read."),
    gauge("c500_capacity_resources", "Resources by how urgent they are.", "level"),
    gauge("c500_capacity_exhaustion_seconds", "Until a resource runs out, at the earliest.", "resource"),
    gauge("c500_capacity_checked_timestamp_seconds", "When that was foretold, in seconds since 1970."),
)  # fmt: skip

TABLE: Mapping[str, Metric] = {metric.name: metric for metric in (*_ALL, *COUNTED.values())}
"""All of them, by name."""

PARTS = tuple(dict.fromkeys(metric.part for metric in TABLE.values()))
"""The parts of C500."""
