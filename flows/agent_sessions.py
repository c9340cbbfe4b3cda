"""Tasks for II-Agent sessions: one from its prompt to its files, files without a task, and one after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from prefect import flow
from prefect.artifacts import acreate_markdown_artifact
from prefect.runtime import flow_run

from blocks.board import Board
from blocks.progress import in_thread, only_informing
from blocks.redact import default_redactor
from blocks.rows.report import keep_rows
from blocks.timeline import measure
from flows.names import plain
from flows.running import job_run
from tasks.sessions.downloads import SessionFiles, download_step, sent_on
from tasks.sessions.perform import perform_steps
from tasks.sessions.record import TaskRecord
from tasks.sessions.report import download_markdown, progress_rows, result_markdown
from tasks.sessions.result import AgentResult, rows_of
from tasks.sessions.task import AgentTask, OnQuestion, agent_task_of, checks_of
from tasks.sessions.where import server_of, server_with


def name_of_task() -> str:
    """The beginning of the prompt."""
    given: dict[str, Any] = flow_run.parameters
    return plain(str(given.get("name") or given.get("prompt"))[:200])


def name_of_session() -> str:
    """The session."""
    return plain(str(flow_run.parameters.get("session_id")))


@flow(name="agent-task", flow_run_name=name_of_task, persist_result=False, validate_parameters=False)
async def agent_task(
    prompt: str,
    files: Sequence[str] = (),
    checks: str | Sequence[dict[str, Any]] = (),
    server: str | None = None,
    session_id: str | None = None,
    *,
    name: str = "",
    answer: str | None = None,
    on_question: OnQuestion = "end",
    answer_within_s: float = 86_400,
    allowance: dict[str, Any] | None = None,
    outputs: Sequence[str] = (),
    manifest: str | None = None,
    into: str | None = None,
    download: dict[str, Any] | None = None,
    unpack: bool = False,
    again: bool = False,
    must_be_done: bool = False,
) -> AgentResult:
    """Have an agent do something, prove that it did, and bring its files here.

    The same call is the same task: after a crash, a kill or an error it goes on where it was, and a task that has ended
    is told again without another prompt.

    Args:
        prompt: What it shall do.
        files: Paths of files that it is given.
        checks: What proves that it is done: a list, or the path of a YAML file; see docs/sessions.md.
        server: Name of the server; None: that of the session, or the only one there is.
        session_id: A conversation that it goes on with.
        name: Tells it from another task of the same prompt and files.
        answer: Given to questions of the agent.
        on_question: Without an answer: `end`, or `pause` for people to answer in the Prefect UI.
        answer_within_s: How long such a pause lasts at most.
        allowance: How much it may take (`tasks.sessions.task.Allowance`).
        outputs: Files to collect, besides those that the conversation names.
        manifest: A list of files that the agent writes, to collect.
        into: Folder for its files; None: the store.
        download: What may be collected (`blocks.iiagent.download.DownloadLimits`).
        unpack: Whether `.zip` files among it are unpacked, too, within `download["unpack"]`.
        again: Whether a task that was given up goes on with a new allowance.
        must_be_done: Whether the run fails where the task is not done.

    Returns:
        Session, answer, files, outcome and counters.

    Raises:
        BadInput, NotFound, TooLarge, Unsupported: something about the task or the server; nothing was spent.
        Conflict: another process is at the task, or in its session.
        EngineUnavailable, EngineFailed, NotAllowed, TimedOut: the server cannot be used; the same call goes on.
        Incomplete: the task is not done, and `must_be_done`.
    """
    async with job_run(refresh=False):
        chosen = await server_of(server, session_id)
        task = await in_thread(
            agent_task_of,
            prompt=prompt,
            files=files,
            checks=await in_thread(checks_of, checks),
            server=chosen.name,
            session_id=session_id,
            name=name,
            answer=answer,
            on_question=on_question,
            outputs=outputs,
            manifest=manifest,
            into=into,
            unpack=unpack,
            again=again,
            **{key: value for key, value in {"allowance": allowance, "download": download}.items() if value},
        )
        result = await _performed(task, answer_within_s)
        return result.check() if must_be_done else result


@flow(name="download-workspace", flow_run_name=name_of_session, persist_result=False, validate_parameters=False)
async def download_workspace(
    session_id: str,
    names: Sequence[str] | Literal["auto"] = "auto",
    *,
    server: str | None = None,
    manifest: str | None = None,
    into: str | None = None,
    download: dict[str, Any] | None = None,
    unpack: bool = False,
) -> SessionFiles:
    """Bring all files of one conversation here. No model is used, and the session is not touched.

    Args:
        session_id: The conversation.
        names: Only these files; `auto`: all that it names, or all there are where the server's workspaces are mounted.
        server: Name of the server; None: the one that has the conversation.
        manifest: A list of files that the agent wrote.
        into: Folder; None: the store.
        download: What may be brought (`blocks.iiagent.download.DownloadLimits`).
        unpack: Whether `.zip` files among them are unpacked beside them, within `download["unpack"]`
            (`blocks.iiagent.unzip.UnzipLimits`).

    Returns:
        The files with their hashes, and what is left out, and why.

    Raises:
        BadInput, NotFound: there is no such session, or the folder holds the files of another.
        Conflict: another process downloads into the folder.
        EngineUnavailable: the server does not answer; what came until then stays.
    """
    async with job_run(refresh=False):
        chosen = await (server_of(server, session_id) if server else server_with(session_id))
        with measure("download"):
            found = await download_step(
                chosen,
                session_id,
                None if names == "auto" else tuple(names),
                manifest=manifest,
                into=None if into is None else Path(into).expanduser().absolute(),
                limits=download,
                unpack=unpack,
            )
        await _show(f"session-files-{found.session_id}", download_markdown(found))
        return found


@flow(name="combined", flow_run_name=name_of_task, persist_result=False, validate_parameters=False)
async def combined(
    source_session: str,
    prompt: str,
    *,
    names: Sequence[str] | Literal["auto"] = "auto",
    source_server: str | None = None,
    files: Sequence[str] = (),
    checks: str | Sequence[dict[str, Any]] = (),
    server: str | None = None,
    session_id: str | None = None,
    name: str = "",
    answer: str | None = None,
    allowance: dict[str, Any] | None = None,
    outputs: Sequence[str] = (),
    into: str | None = None,
    again: bool = False,
    must_be_done: bool = False,
) -> AgentResult:
    """Give the files of one conversation to another: download, upload, run, collect.

    Args:
        source_session: The conversation that the files are of.
        prompt: What the agent shall do with them.
        names: Only these of its files; `auto`: all that it names.
        source_server: Where it is; None: the server that has it.
        files: More files, from here.
        checks: What proves that it is done; see `agent_task`.
        server: Where the task is done; None: the server of the files.
        session_id: A conversation that it goes on with.
        name: Tells it from another task of the same prompt and files.
        answer: Given to questions of the agent.
        allowance: How much it may take.
        outputs: Files to collect, besides those that the conversation names.
        into: Folder for its files; None: the store.
        again: Whether a task that was given up goes on with a new allowance.
        must_be_done: Whether the run fails where the task is not done.

    Returns:
        As `agent_task`.

    Raises:
        NotFound: the conversation has no files.
        C500Error: as `download_workspace` and `agent_task`.
    """
    async with job_run(refresh=False):
        source = await (server_of(source_server, None) if source_server else server_with(source_session))
        target = await (server_of(server, session_id) if server or session_id else server_of(source.name, None))
        with measure("download"):
            found = await download_step(source, source_session, None if names == "auto" else tuple(names))
        task = await in_thread(
            agent_task_of,
            prompt=prompt,
            files=(*await in_thread(sent_on, found), *files),
            checks=await in_thread(checks_of, checks),
            server=target.name,
            session_id=session_id,
            name=name,
            answer=answer,
            outputs=outputs,
            into=into,
            again=again,
            **({"allowance": allowance} if allowance else {}),
        )
        result = await _performed(task, 0)
        return result.check() if must_be_done else result


async def _performed(task: AgentTask, answer_within_s: float) -> AgentResult:
    """The task with what people see of it."""
    from flows.session_questions import AskPeople

    server = await server_of(task.server, None)
    board = Board(f"agent-task-{task.task_id}-turns", "what each turn came to")
    redact = default_redactor().text

    async def tell(record: TaskRecord) -> None:
        await board.show([{name: redact(text) for name, text in row.items()} for row in progress_rows(record)])

    ask = AskPeople(task.task_id, answer_within_s) if task.on_question == "pause" else None
    result = await perform_steps(task, server, ask=ask, tell=tell)
    await keep_rows(rows_of(result, str(flow_run.id)))
    await _show(f"agent-task-{task.task_id}", result_markdown(result))
    return result


async def _show(key: str, markdown: str) -> None:
    """Show a page in the Prefect UI."""
    async with only_informing("report"):
        await acreate_markdown_artifact(key=key, markdown=default_redactor().text(markdown))
