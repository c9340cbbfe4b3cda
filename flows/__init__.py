"""The flows: `from flows import process_audio`."""

import os

# Before Prefect is imported: the server that it may start for a flow of ours does not phone home.
os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
os.environ.setdefault("DO_NOT_TRACK", "1")

from flows.agent import run_agent
from flows.agent_fleet import agent_fleet
from flows.agent_housekeeping import sweep_agents
from flows.agent_sessions import agent_task, combined, download_workspace
from flows.approvals import sweep_approvals
from flows.audio import process_audio, process_batch, process_text
from flows.audit import anchor_audit
from flows.batch_prompts import batch_prompts
from flows.capacity import plan_capacity
from flows.change_review import review_change
from flows.ci import triage_ci
from flows.cleanup import clean_all, clean_audio, clean_cache, clean_logs, watch_disk
from flows.disk import heal_disk
from flows.dispatch import dispatch_request
from flows.drift import detect_drift, undo_drift
from flows.fast_response import fast_response, fast_response_load
from flows.fixing_tests import fix_tests
from flows.incident import respond_to_incident, write_postmortem
from flows.log_analysis import analyse_logs
from flows.maintenance import maintain
from flows.memory import consolidate_memory
from flows.migration import migrate
from flows.recovery import recover_runs, retry_crashed, sweep_uploads
from flows.rollout import watch_rollout
from flows.runbook import run_runbook
from flows.service_deployment import deploy_service
from flows.swarm import swarm, swarm_shard
from flows.team import run_team

__all__ = [
    "agent_fleet",
    "agent_task",
    "analyse_logs",
    "anchor_audit",
    "batch_prompts",
    "clean_all",
    "clean_audio",
    "clean_cache",
    "clean_logs",
    "combined",
    "consolidate_memory",
    "deploy_service",
    "detect_drift",
    "dispatch_request",
    "download_workspace",
    "fast_response",
    "fast_response_load",
    "fix_tests",
    "heal_disk",
    "maintain",
    "migrate",
    "plan_capacity",
    "process_audio",
    "process_batch",
    "process_text",
    "recover_runs",
    "respond_to_incident",
    "retry_crashed",
    "review_change",
    "run_agent",
    "run_runbook",
    "run_team",
    "swarm",
    "swarm_shard",
    "sweep_agents",
    "sweep_approvals",
    "sweep_uploads",
    "triage_ci",
    "undo_drift",
    "watch_disk",
    "watch_rollout",
    "write_postmortem",
]
