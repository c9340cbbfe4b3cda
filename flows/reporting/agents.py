"""Runs of agents, by what the store keeps of them."""

import json
from datetime import datetime

from pydantic import ValidationError

from blocks.errors import NotFound
from blocks.store.files import Files
from tasks.quality.report.facts import AgentRun, AgentRuns
from tasks.quality.report.period import Period

RUNS = "agents/runs/"


def read_agents(files: Files, period: Period, since: datetime) -> AgentRuns:
    """Runs that began or ended since then. Raises `StoreFailed`."""
    begun, before, ended, unread = 0, 0, list[AgentRun](), list[str]()
    for key, written_at in files.list_modified(RUNS):
        name = key.rsplit("/", 1)[-1]
        if name not in ("begun.json", "result.json") or written_at < since:
            continue
        try:
            content = files.read_bytes(key)
            if name == "result.json":
                ended.append(_ended(content))
                continue
            at = datetime.fromisoformat(json.loads(content)["started_at"])
            begun, before = begun + (at in period.now), before + (at in period.before)
        except NotFound:  # it was purged meanwhile
            continue
        except (ValidationError, ValueError, KeyError, TypeError):
            unread.append(f"{key} is damaged, or of another version")
    return AgentRuns(ended=tuple(ended), begun=begun, begun_before=before, unread=tuple(unread))


def _ended(content: bytes) -> AgentRun:
    from tasks.agents.result import AgentResult

    result = AgentResult.model_validate_json(content)
    return AgentRun(
        agent=result.agent,
        status=result.status,
        reason=result.trouble.code if result.trouble else "",
        ended_at=result.ended_at,
        cost_usd=result.usage.cost_usd,
        waited_s=result.usage.waited_s,
    )
