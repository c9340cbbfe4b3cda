"""An agent that works on a goal with tools, within rules, and may be stopped, asked about and gone on with."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.errors import Conflict, Stopped
from blocks.progress import in_thread, only_informing
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.store import open_store
from flows.halts import halt
from flows.names import plain
from flows.running import job_run
from tasks.agents.result import AgentOptions, AgentResult

if TYPE_CHECKING:
    from tasks.agents.opened import Opened
    from tasks.agents.runs import Begun, RunStore


def run_name() -> str:
    """Agent and goal, without secrets: names stand in lists and logs."""
    given = flow_run.parameters
    goal = default_redactor().text(given.get("goal") or given.get("run_id") or "")
    return plain(f"{given.get('agent') or 'agent'}: {goal}")


@flow(name="run-agent", flow_run_name=run_name, persist_result=False)
async def run_agent(
    goal: str = "", agent: str = "operator", options: AgentOptions | None = None, run_id: str | None = None
) -> AgentResult:
    """Have an agent work on a goal.

    Every call of the model and of a tool is a step: a run that was killed or stopped goes on where it was when it is
    started again with the same `run_id`; what it did is not done again, what was decided stands.

    Args:
        goal: What it is to reach, in plain words; not looked at when the run was begun before.
        agent: Which agent: one that is shipped, or of AGENTS_DIR; likewise.
        options: Profile, session, workspace, budget; None for the defaults; likewise, but for the budget: a run that
            goes on may be given another, up to what the agent's file allowed when it was begun.
        run_id: Of a run to go on with; None for a new one.

    Returns:
        What came of it: `done`, or `limited` when it reached a limit, a budget or a loop, or handed off to a person.

    Raises:
        BadInput, NotFound: the goal, the agent, the policy or the accounts cannot be used.
        Stopped: a switch stopped it, and its run cannot be suspended.
        Conflict: another process does this run, or another run is in its session.
        C500Error: it failed: no account, no sandbox, no store; the record lies in the store all the same.
    """
    async with job_run(refresh=False):
        return await show(await _run(run_id or _own_id(), goal, agent, options or AgentOptions()))


async def _run(run_id: str, goal: str, agent: str, options: AgentOptions) -> AgentResult:
    # Within the flow: pydantic-ai takes a second to import, which every other flow would pay.
    from tasks.agents.begin import begin
    from tasks.agents.given import checked_id
    from tasks.agents.retired import refuse_retired
    from tasks.agents.runs import RunStore

    files = open_store()
    store = RunStore(files)
    with files.lock(f"agents/run/{checked_id(run_id)}", wait=False) as alone:
        if not alone:
            raise Conflict(f"another process does run {run_id}", fix="wait until it has ended")
        if (found := store.result(run_id)) is not None and found.status == "done":
            return found
        refuse_retired(files, run_id)
        before = store.begun(run_id)
        with store.in_session(before.session if before else options.session):
            return await _attempt(store, await in_thread(begin, store, settings(), run_id, goal, agent, options))


async def _attempt(store: "RunStore", run: "Begun") -> AgentResult:
    from tasks.agents.act import act, result_of
    from tasks.agents.capabilities import guard_of, inner_of
    from tasks.agents.exchange import without_secrets
    from tasks.agents.measured import count_end
    from tasks.agents.opened import private_folder

    # Not the flow run's id: one that was suspended and resumed, or retried, makes several attempts.
    attempt_id, results = token_hex(8), private_folder(settings().agents_home, "results", run.run_id)
    async with _at_work(run) as work:
        await work.record(
            "run_started", f"started/{attempt_id}", trigger=run.goal, details={"flow_run_id": flow_run.id}
        )
        try:
            acted = await act(
                work,
                run,
                store.history(run.run_id),
                results,
                outer=[guard_of(work, settings())],
                inner=inner_of(work, Path(run.folder)),
            )
        except Stopped as error:
            await work.record("stopped", f"stopped/{attempt_id}", outcome=error.message)
            await halt(error, run.run_id, store.suspend)
        result = result_of(work, run, acted)
        is_done = result.status == "done"
        messages = without_secrets(acted.messages, work.place.redactor)
        if not is_done:
            store.end(result, messages)
        # Before a result that no attempt comes after: it does not stand without all that was noted on the way to it.
        await work.record("run_ended", f"ended/{attempt_id}", outcome=result.status, details=result.usage.model_dump())
        if is_done:
            store.continue_with(run, messages, result.labels)
            store.end(result, messages)
        count_end(work, result)
        if acted.error is not None and result.status == "failed":
            raise acted.error
        return result


@asynccontextmanager
async def _at_work(run: "Begun") -> "AsyncGenerator[Opened]":
    from blocks.approvals import open_approvals
    from flows.approvals import wait_for_decision
    from tasks.agents.notices import notices
    from tasks.agents.working import working

    approvals = open_approvals()

    async with (
        notices(settings().escalation_file) as tell,
        working(run, settings(), lambda request: wait_for_decision(request, approvals), tell) as opened,
    ):
        yield opened


def _own_id() -> str:
    """The id of an agent run that this flow run begins; the same when Prefect runs it again."""
    return sha256(f"agent/{flow_run.id}".encode()).hexdigest()[:16]


def _as_said(text: str) -> str:
    """A text that is shown and not rendered: a picture in it would call whoever it names when somebody looks."""
    return "\n".join(f"    {line}" for line in text.splitlines())


async def show(result: AgentResult) -> AgentResult:
    """Show what came of it in the Prefect UI."""
    lines = [f"**{result.status}** · agent {result.agent} · profile {result.profile} · run `{result.run_id}`", ""]
    lines += [_as_said(result.output or (result.trouble.message if result.trouble else ""))]
    told = [("would change", result.would_change), ("refused", result.refused), ("note", result.notices)]
    lines += ["", _as_said("\n".join(f"{name}: {one}" for name, ones in told for one in ones))]
    async with only_informing("agent's result"):
        await acreate_markdown_artifact(
            key=f"agent-{result.run_id}", markdown="\n".join(lines), description=result.goal[:200]
        )
    return result
