"""`c500 fast-response`: a few English words before the main answer, and how fast a server gives them."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app
from deployments.cli.given import made_of
from deployments.cli.output import Json, echo_json

if TYPE_CHECKING:
    from tasks.fast_response.asked import FastOptions
    from tasks.fast_response.goals import Goal

commands = typer.Typer(
    help="Replies of 1 to 6 English words that bridge a child's words and the main answer.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(commands, name="fast-response")

Model = Annotated[str | None, typer.Option(help="Model of accounts.yaml; by default one of tier simple.")]
Accounts = Annotated[list[str] | None, typer.Option(help="Only accounts of this label or name; repeatable.")]
Form = Annotated[str, typer.Option(help="The history as one text (flat), or as messages with roles (chat).")]
System = Annotated[Path | None, typer.Option(help="File with another system prompt.")]
MaxTokens = Annotated[int, typer.Option(help="Most tokens of a reply.")]
MaxModelLen = Annotated[int, typer.Option(help="Tokens of prompt and reply together, as the server was started.")]
Temperature = Annotated[float | None, typer.Option(help="0 to 2; by default the server's.")]
DeadlineS = Annotated[float, typer.Option(help="Seconds after which a reply is of no use.")]
User = Annotated[str | None, typer.Option(help="Whose budget it is; by default yours.")]

FIX = "give another value; see `c500 fast-response --help`"


@commands.command("reply")
def reply(
    turns: Annotated[Path | None, typer.Argument(help="JSONL file of turns; see docs/fast-response.md.")] = None,
    said: Annotated[str | None, typer.Option(help="Instead of a file: what the child said.")] = None,
    after: Annotated[str | None, typer.Option(help="What was said to the child before, with --said.")] = None,
    model: Model = None,
    accounts: Accounts = None,
    form: Form = "flat",
    system: System = None,
    max_tokens: MaxTokens = 50,
    max_model_len: MaxModelLen = 1024,
    temperature: Temperature = None,
    deadline_s: DeadlineS = 10.0,
    concurrency: Annotated[int, typer.Option(help="Replies at once.")] = 16,
    user: User = None,
    as_json: Json = False,
) -> None:
    """Reply to the turns of a file, or to one. Exit 1 where one has no reply, or none that can be spoken."""
    from tasks.fast_response.asked import ReplyOptions
    from tasks.fast_response.page import replies_page
    from tasks.fast_response.turns import read_turns

    given = _given(turns, said, after)
    options = made_of(
        ReplyOptions,
        _fields(model, accounts, form, system, max_tokens, max_model_len, temperature, deadline_s, user)
        | {"concurrency": concurrency},
        fix=FIX,
    )
    read_turns(given)
    _check(options)

    def start() -> Any:
        from flows.fast_response import fast_response

        return fast_response(given, options)

    replies = _run(start, quiet=as_json)
    _show(replies, replies_page(replies), as_json=as_json)
    if not all(one.is_usable for one in replies.replies):
        raise typer.Exit(1)


@commands.command("load")
def load(
    turns: Annotated[Path, typer.Argument(help="JSONL file of turns; see docs/fast-response.md.")],
    model: Model = None,
    accounts: Accounts = None,
    requests: Annotated[int, typer.Option(help="Measured requests of each loop.")] = 200,
    warmup: Annotated[int, typer.Option(help="Requests before, which are not counted.")] = 16,
    concurrency: Annotated[
        int | None, typer.Option(help="Callers of a closed loop; without it and --rate as many as --max-num-seqs.")
    ] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second of an open loop.")] = None,
    arrivals: Annotated[str, typer.Option(help="Of the open loop: even, or random (independent callers).")] = "even",
    seed: Annotated[int, typer.Option(help="Of random arrivals.")] = 0,
    max_num_seqs: Annotated[int, typer.Option(help="What the server works on at once, as it was started.")] = 16,
    goal: Annotated[
        list[str] | None,
        typer.Option(help="What must hold, in ms; repeatable. By default ttft:p95:300 and total:p95:500."),
    ] = None,
    max_error_share: Annotated[float, typer.Option(help="Most requests that may fail, 0 to 1.")] = 0.01,
    min_usable_share: Annotated[float | None, typer.Option(help="Least replies without a fault, 0 to 1.")] = None,
    server_metrics: Annotated[bool, typer.Option(help="Ask vLLM servers for their own /metrics.")] = True,
    form: Form = "flat",
    system: System = None,
    max_tokens: MaxTokens = 50,
    max_model_len: MaxModelLen = 1024,
    temperature: Temperature = None,
    deadline_s: DeadlineS = 10.0,
    user: User = None,
    as_json: Json = False,
) -> None:
    """Measure how fast replies come, by callers that wait (closed) or a rate (open). Exit 1 where a goal is missed."""
    from tasks.fast_response.asked import LoadOptions
    from tasks.fast_response.page import load_page
    from tasks.fast_response.turns import read_turns

    asked: dict[str, Any] = {
        "requests": requests,
        "warmup": warmup,
        "concurrency": concurrency,
        "rate_per_s": rate,
        "arrivals": arrivals,
        "seed": seed,
        "max_num_seqs": max_num_seqs,
        "max_error_share": max_error_share,
        "min_usable_share": min_usable_share,
        "server_metrics": server_metrics,
    }
    if goal:
        asked["goals"] = _goals(goal)
    asked |= _fields(model, accounts, form, system, max_tokens, max_model_len, temperature, deadline_s, user)
    options = made_of(LoadOptions, asked, fix=FIX, options={"rate_per_s": "rate"})
    read_turns(str(turns))
    _check(options)

    def start() -> Any:
        from flows.fast_response import fast_response_load

        return fast_response_load(str(turns.absolute()), options, fail_on_miss=False)

    report = _run(start, quiet=as_json)
    _show(report, load_page(report), as_json=as_json)
    if not report.ok:
        raise typer.Exit(1)


def _fields(
    model: str | None,
    accounts: list[str] | None,
    form: str,
    system: Path | None,
    max_tokens: int,
    max_model_len: int,
    temperature: float | None,
    deadline_s: float,
    user: str | None,
) -> dict[str, Any]:
    from deployments.cli.given import text_of

    return {
        "model": model,
        "accounts": tuple(accounts or ()),
        "form": form,
        "system": None if system is None else text_of(system, "--system"),
        "max_tokens": max_tokens,
        "max_model_len": max_model_len,
        "temperature": temperature,
        "deadline_s": deadline_s,
        "user": user or getpass.getuser(),
    }


def _given(turns: Path | None, said: str | None, after: str | None) -> str | list[dict[str, Any]]:
    from blocks.errors import BadInput

    if (turns is None) == (said is None):
        raise BadInput("give either a file of turns or --said", fix='as --said "Hmm, I don\'t know."', field="--said")
    if turns is not None:
        return str(turns.absolute())
    before = [{"role": "assistant", "content": after}] if after else []
    return [{"history": [*before, {"role": "user", "content": said}]}]


def _goals(texts: list[str]) -> "tuple[Goal, ...]":
    from tasks.fast_response.goals import read_goal

    return tuple(read_goal(text) for text in texts)


def _check(options: "FastOptions") -> None:
    """A choice that no account can serve should not wait for a server to start."""
    from blocks.accounts.file import read_accounts
    from blocks.accounts.routes import check_choice
    from blocks.settings import settings

    accounts = read_accounts(settings().accounts_file.expanduser())
    check_choice(accounts, options.accounts, options.model, None if options.model else "simple")


def _run(start: Any, *, quiet: bool) -> Any:
    from deployments.cli.session import run_flow

    return run_flow(start, quiet=quiet)


def _show(value: Any, page: str, *, as_json: bool) -> None:
    if as_json:
        echo_json(value)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    from blocks.plain_text import visible

    Console().print(Markdown(visible(page)))
