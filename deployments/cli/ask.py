"""`c500 ask`: one request, split over many accounts, merged and judged."""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of, text_or_stdin

if TYPE_CHECKING:
    from tasks.dispatch.plan import Plan
    from tasks.dispatch.request import DispatchOptions, DispatchRequest
    from tasks.dispatch.result import DispatchResult, Question
    from tasks.dispatch.split import Planned

QUESTIONS = 3
"""The most questions of `--questions`."""

OPTIONS = {"deadline_s": "deadline", "labels": "accounts", "coordinator": "model"}
"""Of fields that have another name."""


@app.command()
def ask(
    request: Annotated[str, typer.Argument(help="What you want, in plain words, or - for standard input.")],
    questions: Annotated[bool, typer.Option("--questions", help="Let the coordinator ask you first.")] = False,
    criteria: Annotated[list[str] | None, typer.Option(help="What the answer is judged by; may be repeated.")] = None,
    rounds: Annotated[int, typer.Option(help="Most rounds of improvement.")] = 1,
    accounts: Annotated[
        list[str] | None, typer.Option(help="Only accounts of this label or name; may be repeated.")
    ] = None,
    budget_usd: Annotated[float | None, typer.Option(help="Most dollars it may cost.")] = None,
    deadline: Annotated[float, typer.Option(help="Seconds from its start within which it ends.")] = 600,
    plan: Annotated[Path | None, typer.Option(help="Your own plan, YAML or JSON; see docs/dispatch.md.")] = None,
    model: Annotated[str | None, typer.Option(help="Model that plans, merges and judges; by default by tier.")] = None,
    specialities: Annotated[Path | None, typer.Option(help="YAML table of specialities beside ours.")] = None,
    fallback_merge: Annotated[
        bool, typer.Option("--fallback-merge", help="Put results together by rule when no model does.")
    ] = False,
    user: Annotated[str | None, typer.Option(help="Whose budget it is; by default yours.")] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask anew what is stored.")] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Print the plan, for --plan, and do none of it.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")] = False,
) -> None:
    """Split a request into sub-tasks, do them in parallel over your LLM accounts, merge and judge the answer.

    Exit 1 when the answer is partial: what there is of it is printed all the same.
    """
    options = _options(
        questions=QUESTIONS if questions else 0,
        criteria=criteria or (),
        rounds=rounds,
        labels=accounts or (),
        budget_usd=budget_usd,
        deadline_s=deadline,
        coordinator={"model": model},
        specialities=_table(specialities),
        fallback_merge=fallback_merge,
        user=user or getpass.getuser(),
    )
    text, own = text_or_stdin(request), _plan(plan)
    asked = _check_before_start(text, options, own)
    if plan_only:
        _show_plan(asked, as_json=as_json)
        return

    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows import dispatch_request
        from flows.answers import listener

        if questions and sys.stdin.isatty():
            listener.set(_ask_user)
        return dispatch_request(text, options, plan=own, refresh=refresh)

    result = run_flow(start, quiet=as_json)
    _show(result, as_json=as_json)
    if result.status != "complete":
        raise typer.Exit(1)


async def _ask_user(questions: "Sequence[Question]") -> list[str]:
    """Ask on the terminal, one line an answer."""
    from blocks.progress import in_thread
    from deployments.cli.session import aside

    with aside():
        typer.echo("Before it plans, the coordinator asks. Leave a line empty to let its assumption stand.", err=True)
        return [await in_thread(_ask_one, one) for one in questions]


def _ask_one(one: "Question") -> str:
    why = f"\n  why: {one.why}" if one.why else ""
    typer.echo(f"\n{one.question}{why}\n  else: {one.assumption}", err=True)
    return typer.prompt(">", default="", show_default=False, err=True)


def _options(**fields: Any) -> "DispatchOptions":
    from tasks.dispatch.request import DispatchOptions

    return made_of(DispatchOptions, fields, fix="see `c500 ask --help`", options=OPTIONS)


def _table(path: Path | None) -> Any:
    from tasks.dispatch.speciality import read_specialities

    return {} if path is None else read_specialities(path)


def _plan(path: Path | None) -> "Plan | None":
    from tasks.dispatch.plan import read_plan

    return None if path is None else read_plan(path)


def _show_plan(asked: "DispatchRequest", *, as_json: bool) -> None:
    """Have the coordinator plan, without Prefect's server: nothing of it needs to be kept."""
    import asyncio

    from blocks.accounts.open import open_pool
    from blocks.errors import BadInput
    from tasks.dispatch.rehearse import plan_of

    if asked.plan is not None or asked.options.questions:
        raise BadInput("--plan-only goes with neither --plan nor --questions", fix="leave them out", field="plan-only")

    async def run() -> "Planned":
        async with open_pool() as pool:
            return await plan_of(asked, pool)

    made = asyncio.run(run())
    typer.echo(made.plan.model_dump_json(indent=2) if as_json else _yaml(made.plan), nl=as_json)
    cost = "unknown" if made.spent.cost_usd is None else f"${made.spent.cost_usd:.6f}"
    calls = len(made.plan.tasks) + 2
    typer.echo(f"planning cost {cost}; this plan takes {calls} calls, and more to repair or improve", err=True)


def _yaml(plan: "Plan") -> str:
    import yaml

    return yaml.safe_dump(plan.model_dump(mode="json", exclude_defaults=True), sort_keys=False, allow_unicode=True)


def _check_before_start(text: str, options: "DispatchOptions", plan: "Plan | None") -> "DispatchRequest":
    """What is wrong with request, plan or accounts should not wait for a server to start."""
    from blocks.accounts.file import read_accounts
    from blocks.settings import settings
    from tasks.dispatch.request import DispatchRequest, check_accounts_for

    request = DispatchRequest(text=text, options=options, plan=plan)
    request.check()
    check_accounts_for(request, read_accounts(settings().accounts_file.expanduser()))
    return request


def _show(result: "DispatchResult", *, as_json: bool) -> None:
    """Print the answer, what is missing of it, what it took, and where its files are."""
    if as_json:
        typer.echo(result.model_dump_json(indent=2))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.store import open_store
    from tasks.dispatch.report import result_markdown
    from tasks.dispatch.request import dispatch_folder

    console = Console()
    console.print(Markdown(result_markdown(result)))
    place = open_store().uri(dispatch_folder(result.dispatch_id))
    console.print(f"request {result.dispatch_id} · {result.status} · files in {place}", markup=False, soft_wrap=True)
