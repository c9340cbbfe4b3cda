# What `from flows import …` gives: for type checkers, and for __init__.py, which loads a flow when it is asked for.

from .agent import run_agent
from .agent_fleet import agent_fleet
from .agent_housekeeping import sweep_agents
from .agent_sessions import agent_task, combined, download_workspace
from .approvals import sweep_approvals
from .audio import process_audio, process_batch, process_text
from .audit import anchor_audit
from .batch_prompts import batch_prompts
from .capacity import plan_capacity
from .change_review import review_change
from .ci import triage_ci
from .cleanup import clean_all, clean_audio, clean_cache, clean_evidence, clean_logs, watch_disk
from .disk import heal_disk
from .dispatch import dispatch_request
from .drift import detect_drift, undo_drift
from .evaluation import evaluate
from .fast_response import fast_response, fast_response_load
from .fixing_tests import fix_tests
from .incident import respond_to_incident, write_postmortem
from .log_analysis import analyse_logs
from .maintenance import maintain
from .memory import consolidate_memory
from .migration import migrate
from .personal_data import erase_data, export_data
from .quality_audit import audit_quality
from .recovery import recover_runs, retry_crashed, sweep_uploads
from .report import report_operations
from .rollout import watch_rollout
from .runbook import run_runbook
from .service_deployment import deploy_service
from .swarm import swarm, swarm_shard
from .team import run_team

__all__ = [
    "agent_fleet",
    "agent_task",
    "analyse_logs",
    "anchor_audit",
    "audit_quality",
    "batch_prompts",
    "clean_all",
    "clean_audio",
    "clean_cache",
    "clean_evidence",
    "clean_logs",
    "combined",
    "consolidate_memory",
    "deploy_service",
    "detect_drift",
    "dispatch_request",
    "download_workspace",
    "erase_data",
    "evaluate",
    "export_data",
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
    "report_operations",
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
