"""`c500 evaluate`: how good the outputs for a dataset are, and whether they are better than others."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.evaluation.evaluation import Evaluation, EvaluationOptions
    from tasks.evaluation.judge import JudgeOptions
    from tasks.evaluation.system import System

FIX = "give another value; see `c500 evaluate --help`"


@app.command("evaluate")
def evaluate(
    dataset: Annotated[Path, typer.Argument(help="Manifest: .jsonl, .csv or .yaml; see docs/evaluation.md.")],
    engine: Annotated[str | None, typer.Option(help="Speech engine; see `c500 engines`.")] = None,
    language_engine: Annotated[str | None, typer.Option(help="Engine that enhances and summarises.")] = None,
    template: Annotated[str | None, typer.Option(help="Summary template, instead of the cases'.")] = None,
    diarise: Annotated[str | None, typer.Option(help="none, channels, cluster or pyannote.")] = None,
    hints: Annotated[str | None, typer.Option(help="Comma list of names and terms likely to occur.")] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="Another option of a job, or setting of an engine; repeatable."
        ),
    ] = None,
    hypotheses: Annotated[
        Path | None, typer.Option(help="Score these outputs (.jsonl, .csv, .yaml) and run nothing.")
    ] = None,
    name: Annotated[str, typer.Option(help="What the report calls what is evaluated.")] = "",
    against: Annotated[
        str | None,
        typer.Option(help="Baseline: NAME=VALUE,… as with --set; a YAML file of them; or a file of outputs."),
    ] = None,
    decide_by: Annotated[str | None, typer.Option(help="Measure that decides; by default the first there is.")] = None,
    fail_if_worse: Annotated[
        bool, typer.Option("--fail-if-worse", help="Exit 1 where it is worse than the baseline, or cannot be compared.")
    ] = False,
    normalisation: Annotated[str, typer.Option(help="What is the same word: words, or written.")] = "words",
    collar_s: Annotated[float, typer.Option(help="Seconds at speakers' boundaries that do not count.")] = 0.25,
    skip_overlap: Annotated[bool, typer.Option("--skip-overlap", help="Leave out speech of several at once.")] = False,
    judge: Annotated[
        list[str] | None, typer.Option(help="Statement that a model judges each output by; repeatable.")
    ] = None,
    judge_cases: Annotated[bool, typer.Option("--judge-cases", help="Judge by the rubrics of the cases.")] = False,
    judge_model: Annotated[
        str | None, typer.Option(help="Model of accounts.yaml; by default one of tier complex.")
    ] = None,
    judge_budget_usd: Annotated[float | None, typer.Option(help="Most that the judge may cost.")] = None,
    user: Annotated[str | None, typer.Option(help="Whose budget it is; by default yours.")] = None,
    only: Annotated[list[str] | None, typer.Option("--only", help="Id of a case; repeatable.")] = None,
    alpha: Annotated[float, typer.Option(help="Chance of calling a difference where there is none.")] = 0.05,
    resamples: Annotated[int, typer.Option(help="Of the bootstrap.")] = 10_000,
    seed: Annotated[int, typer.Option(help="Of the bootstrap.")] = 0,
    at_once: Annotated[int, typer.Option(help="Cases in hand at once.")] = 4,
    refresh: Annotated[bool, typer.Option("--refresh", help="Do again what is stored.")] = False,
    out: Annotated[Path | None, typer.Option(help="Also copy the report into this folder.")] = None,
    as_json: Json = False,
) -> None:
    """Score a dataset, and compare two configurations. Exit 1 where a case failed. The same command goes on."""
    from tasks.evaluation.dataset import read_dataset
    from tasks.evaluation.evaluation import EvaluationOptions
    from tasks.evaluation.score import Scoring

    given = {
        "engine": engine,
        "language_engine": language_engine,
        "template": template,
        "diarise": diarise,
        "hints": hints,
    }
    candidate = _system(given, option, hypotheses, name)
    baseline = _baseline(against, needed=fail_if_worse)
    options = made_of(
        EvaluationOptions,
        {
            "only": tuple(only or ()),
            "scoring": made_of(
                Scoring,
                {"normalisation": normalisation, "collar_s": collar_s, "skip_overlap": skip_overlap},
                fix=FIX,
            ),
            "judge": _judge(judge, judge_model, judge_budget_usd, user, wanted=judge_cases),
            "decide_by": decide_by,
            "alpha": alpha,
            "resamples": resamples,
            "seed": seed,
            "at_once": at_once,
        },
        fix=FIX,
    )
    read_dataset(dataset, options.only)  # what is wrong with it should not wait for a server to start
    report = _run(str(dataset.absolute()), candidate, baseline, options, refresh=refresh, quiet=as_json)
    _show(report, out=out, as_json=as_json)
    if report.failed or (fail_if_worse and (report.is_worse or not report.is_decided)):
        raise typer.Exit(1)


def _system(given: dict[str, str | None], more: list[str] | None, hypotheses: Path | None, name: str) -> "System":
    from blocks.errors import BadInput
    from tasks.evaluation.system import System, system_of

    pairs = {key: value for key, value in given.items() if value is not None}
    for one in more or ():
        key, sign, value = one.partition("=")
        if not sign:
            raise BadInput(f"--set is {one!r}, and no NAME=VALUE", fix="as --set language=vi", field="--set")
        pairs[key.strip()] = value.strip()
    if hypotheses is None:
        return system_of(pairs, name)
    if others := sorted(pairs.keys() - {"template"}):
        told = f"{', '.join(others)} cannot be given beside --hypotheses"
        raise BadInput(told, fix="outputs that are given are not made", field="--hypotheses")
    return System(name=name, options=pairs, hypotheses=str(hypotheses.absolute()))


def _baseline(against: str | None, *, needed: bool) -> "System | None":
    from blocks.errors import BadInput
    from tasks.evaluation.system import read_system

    if against is None and needed:
        raise BadInput("--fail-if-worse has nothing to compare with", fix="name it with --against", field="--against")
    return None if against is None else read_system(against)


def _judge(
    rubrics: list[str] | None, model: str | None, budget_usd: float | None, user: str | None, *, wanted: bool
) -> "JudgeOptions | None":
    if not rubrics and not wanted:
        return None
    from blocks.accounts.file import read_accounts
    from blocks.accounts.routes import check_choice
    from blocks.settings import settings
    from tasks.evaluation.judge import JudgeOptions

    check_choice(read_accounts(settings().accounts_file.expanduser()), (), model, None if model else "complex")
    fields = {"rubrics": tuple(rubrics or ()), "model": model, "budget_usd": budget_usd}
    renamed = {"rubrics": "judge", "model": "judge-model", "budget_usd": "judge-budget-usd"}
    return made_of(JudgeOptions, {**fields, "user": user or getpass.getuser()}, fix=FIX, options=renamed)


def _run(
    dataset: str,
    candidate: "System",
    baseline: "System | None",
    options: "EvaluationOptions",
    *,
    refresh: bool,
    quiet: bool,
) -> "Evaluation":
    from deployments.cli.session import run_flow

    def start() -> Any:
        from flows.evaluation import evaluate

        return evaluate(dataset, candidate, baseline, options, refresh=refresh)

    return run_flow(start, quiet=quiet)


def _show(report: "Evaluation", *, out: Path | None, as_json: bool) -> None:
    from blocks.store import open_store
    from tasks.evaluation.keep import copy_out

    files = open_store()
    if out is not None:
        copy_out(files, report, out)
    if as_json:
        echo_json(report)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible
    from tasks.evaluation.report import markdown

    Console().print(Markdown(visible(markdown(report))))
    typer.echo(f"report: {files.uri(report.files['report.html'])}")
