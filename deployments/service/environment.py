"""The settings of Prefect that the service's runs and its server need, and why."""

from blocks.settings import HEARTBEAT_S

RUN_ENVIRONMENT = {
    # A run says that it lives; an automation marks those crashed that fall silent. 30 s is Prefect's minimum.
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_S),
    # A server that is gone for a minute or three stops no run: a call is tried again after 2, 4, 8, … s, 254 to 305 s
    # in all (Prefect adds up to a fifth). The default, 5, gives up after 62 s. A run that gives up crashes, and
    # recovery runs it again. Whoever takes silent or unstarted runs for lost must wait longer than this, or a run
    # that only waits gets a twin: `automations.MISSED`, `blocks.runs.lost.SILENCES` and PENDING_TIMEOUT_S do.
    "PREFECT_CLIENT_MAX_RETRIES": "7",
    # While its database is away the server answers 500; 408, 429, 502 and 503 are tried again anyway.
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500,504",
    # Log lines without a run (of libraries, at exit) are no error.
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
}
"""Environment of every worker and run of the service. The pools carry it too, for workers started by other means:
a run without heartbeats counts as dead after a while."""

SERVER_ENVIRONMENT = {
    # The default keeps leases in memory: after a restart nobody gives back the slots they held, so that a GPU's only
    # slot would be taken for ever. With Redis, prefect_redis.lease_storage does it.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # A run whose worker died while it was cancelled is Cancelled after a minute instead of five.
    "PREFECT_SERVER_SERVICES_CANCELLATION_CLEANUP_CANCELLING_TIMEOUT_SECONDS": "60",
    # Recovery alone makes half a million runs a year; by default only events are removed. How long runs are kept is
    # RUN_RETENTION_DAYS; results lie in the store, whatever becomes of their runs.
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
}
"""What a server of the service needs besides `deployments.server.TUNING`, one with its own SQLite file."""
