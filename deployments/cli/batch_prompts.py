"""`c500 batch-prompts`: a table, a template for each group of its rows, and every row answered once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.output import Json

if TYPE_CHECKING:
    from tasks.batch_prompts.plan import Plan
    from tasks.batch_prompts.report import BatchPromptsReport


@app.command("batch-prompts")
def batch_prompts(
    plan: Annotated[
        Path, typer.Argument(help="YAML file: table, groups with their templates, columns of the answers.")
    ],
    pilot: Annotated[
        int | None, typer.Option(min=1, help="Only the first K rows of each group, and an estimate of the rest.")
    ] = None,
    probe: Annotated[
        bool, typer.Option("--probe", help="Ask the first chunk of each group twice, and say how far they agree.")
    ] = False,
    engine: Annotated[str | None, typer.Option(help="llm or agent, instead of the plan's.")] = None,
    output: Annotated[str | None, typer.Option(help="Where the answers go, instead of the plan's.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Ask rows again that no prompt got answered.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only look at all rows and prompts, and estimate the cost.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Answer each row of a table by its group's template; exit 1 when rows are missing. Goes on after a crash."""
    from tasks.batch_prompts.plan import read_plan

    asked: dict[str, Any] = {
        "engine": _engine(engine),
        "output": None if output is None else str(Path(output).expanduser().absolute()),
    }
    _check(read_plan(plan, **asked))  # what is wrong with it should not wait for a server to start
    asked |= {"plan": str(plan.absolute()), "pilot": pilot, "probe": probe, "retry": retry, "dry_run": dry_run}
    report = _run(asked, quiet=as_json)
    _show(report, as_json=as_json)
    if not dry_run and pilot is None and not report.is_complete:
        raise typer.Exit(1)


def _engine(name: str | None) -> str | None:
    from blocks.errors import BadInput

    if name not in (None, "llm", "agent"):
        raise BadInput(f"there is no engine {name!r}", fix="use llm or agent", field="--engine")
    return name


def _check(plan: "Plan") -> None:
    if plan.file.engine == "agent":
        from tasks.batch_prompts.agent import AgentEngine

        AgentEngine(plan)
        return
    from blocks.accounts.file import read_accounts
    from blocks.settings import settings
    from tasks.batch_prompts.llm import check_models

    check_models(plan, read_accounts(settings().accounts_file.expanduser()))


def _run(asked: dict[str, Any], *, quiet: bool) -> "BatchPromptsReport":
    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows.batch_prompts import batch_prompts

        return batch_prompts(**asked)

    return run_flow(start, quiet=quiet)


def _show(report: "BatchPromptsReport", *, as_json: bool) -> None:
    if as_json:
        typer.echo(report.model_dump_json(indent=2))
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from tasks.batch_prompts.told import report_markdown

    Console().print(Markdown(report_markdown(report)))
