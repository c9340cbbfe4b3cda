"""What is counted of a run, for Prometheus; each thing once, whatever is replayed."""

from pydantic_ai.messages import ModelResponse

from blocks.action import Risk
from blocks.agent_metrics import Change
from tasks.agents.opened import Opened
from tasks.agents.result import AgentResult


def count_model_call(work: Opened, step: int, response: ModelResponse) -> None:
    """A call of the model: its tokens and its cost, and whether a cache had the answer."""
    agent, details = work.definition.name, response.provider_details or {}
    model, usage = response.model_name or "unknown", response.usage
    tokens = {
        "input": usage.input_tokens - usage.cache_read_tokens,
        "cached": usage.cache_read_tokens,
        "output": usage.output_tokens,
    }
    changes = [Change("c500_agent_steps_total", {"agent_name": agent})]
    changes += [
        Change("c500_agent_tokens_total", {"agent_name": agent, "model": model, "type": kind}, count)
        for kind, count in tokens.items()
        if count
    ]
    if cost_usd := details.get("cost_usd"):
        changes.append(Change("c500_agent_api_cost_usd_total", {"agent_name": agent, "model": model}, cost_usd))
    if kind := details.get("cached"):
        labels = {"agent_name": agent, "cache_type": str(kind)}
        changes += [Change("c500_agent_cache_hits_total", labels), Change("c500_agent_cache_lookups_total", labels)]
    work.count(changes, f"model/{step}")


def count_decision(work: Opened, name: str, verdict: str, rule: str) -> None:
    """What a rule or the guard decided; `name` names the decision within the run."""
    work.count([Change("c500_agent_guard_decisions_total", {"decision": verdict, "rule": rule})], f"decision/{name}")


def count_approval(work: Opened, call_id: str, risk: Risk, *, approved: bool, waited_s: float) -> None:
    """A question to a person that was answered, or that nobody answered in time."""
    changes = [
        Change("c500_agent_approvals_total", {"risk": risk, "decision": "approved" if approved else "denied"}),
        Change("c500_agent_approval_wait_seconds", {}, waited_s),
    ]
    work.count(changes, f"approval/{call_id}")


def count_end(work: Opened, result: AgentResult) -> None:
    """A run that is over."""
    agent = {"agent_name": result.agent}
    task = {**agent, "task_type": "goal"}
    outcome = (
        Change("c500_agent_task_success_total", task)
        if result.status == "done"
        else Change(
            "c500_agent_task_failure_total",
            {**task, "failure_reason": result.trouble.code if result.trouble else "unknown"},
        )
    )
    changes = [
        Change("c500_agent_requests_total", {**agent, "status": result.status}),
        Change("c500_agent_request_duration_seconds", agent, work.guarded.active_s),
        Change("c500_agent_steps_per_request", agent, result.usage.steps),
        outcome,
    ]
    work.count(changes, f"end/{result.status}/{result.ended_at:%Y%m%dT%H%M%S}")
