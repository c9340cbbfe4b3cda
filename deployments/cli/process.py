"""`c500 process` and `c500 text`: run the job flows here and now."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from deployments.cli import app

if TYPE_CHECKING:
    from blocks.job import JobOptions

FEATURES = "raw_transcript, clean_transcript, summary, enhancement_metrics"


Template = Annotated[str, typer.Option(help="Summary template; see `c500 templates list`.")]
Language = Annotated[str | None, typer.Option(help="Language spoken, as ISO 639-1 code: en, vi, …")]
LanguageEngine = Annotated[str, typer.Option(help="Engine that enhances and summarises; see `c500 engines`.")]
Features = Annotated[str, typer.Option(help=f"Comma list of {FEATURES}.")]
Refresh = Annotated[bool, typer.Option("--refresh", help="Compute again what is stored.")]
Out = Annotated[Path | None, typer.Option(help="Also copy the results into this folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]


@app.command()
def process(
    files: Annotated[list[str], typer.Argument(help="Recordings: paths, folders, file://, http(s)://, s3://.")],
    template: Template = "meeting_notes",
    language: Language = None,
    engine: Annotated[str, typer.Option(help="Speech engine; see `c500 engines`.")] = "auto",
    language_engine: LanguageEngine = "auto",
    features: Features = "clean_transcript,summary",
    diarise: Annotated[
        str,
        typer.Option(
            help="Tell speakers apart: `none`, `channels` of a stereo call, `cluster` by voice, or `pyannote`."
        ),
    ] = "none",
    speakers: Annotated[int | None, typer.Option(help="Number of speakers, when known.")] = None,
    guard: Annotated[
        bool | None,
        typer.Option("--guard/--no-guard", help="Take out what speech engines invent in silence or repeat."),
    ] = None,
    hints: Annotated[str, typer.Option(help="Comma list of names and terms likely to occur.")] = "",
    refresh: Refresh = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Transcribe, enhance and summarise recordings."""
    options = _options(
        template=template,
        language=language,
        engine=engine,
        language_engine=language_engine,
        features=_comma_list(features),
        diarise=diarise,
        speakers=speakers,
        **({} if guard is None else {"guard": guard}),
        hints=_comma_list(hints),
    )
    _check_before_start(options, audio=True)
    _check_paths(files)
    if len(files) == 1 and not Path(files[0]).is_dir():
        _process_one(files[0], options, refresh=refresh, out=out, as_json=as_json)
    else:
        _process_many(files, options, refresh=refresh, out=out, as_json=as_json)


@app.command()
def text(
    file: Annotated[str, typer.Argument(help="A text file in UTF-8, or - for standard input.")],
    template: Template = "generic_summary",
    language: Language = None,
    language_engine: LanguageEngine = "auto",
    features: Features = "clean_transcript,summary",
    refresh: Refresh = False,
    out: Out = None,
    as_json: AsJson = False,
) -> None:
    """Enhance and summarise a text."""
    options = _options(
        template=template, language=language, language_engine=language_engine, features=_comma_list(features)
    )
    _check_before_start(options, audio=False)
    content = _read_text(file)
    name = "standard input" if file == "-" else Path(file).name

    from deployments.cli.session import run_flow
    from deployments.cli.show import show_result

    def start() -> Any:
        from flows import process_text

        return process_text(content, options, source_name=name, refresh=refresh)

    show_result(run_flow(start, quiet=as_json), out=out, as_json=as_json)


def _process_one(source: str, options: "JobOptions", *, refresh: bool, out: Path | None, as_json: bool) -> None:
    from deployments.cli.session import run_flow
    from deployments.cli.show import show_result

    def start() -> Any:
        from flows import process_audio

        return process_audio(_absolute(source), options, refresh=refresh)

    show_result(run_flow(start, quiet=as_json), out=out, as_json=as_json)


def _process_many(sources: list[str], options: "JobOptions", *, refresh: bool, out: Path | None, as_json: bool) -> None:
    from deployments.cli.session import run_flow
    from deployments.cli.show import show_batch

    def start() -> Any:
        from flows import process_batch

        return process_batch([_absolute(source) for source in sources], options, refresh=refresh)

    report = run_flow(start, quiet=as_json)
    show_batch(report, out=out, as_json=as_json)
    if report.count("failed"):
        raise typer.Exit(1)


def _options(**fields: Any) -> "JobOptions":
    from pydantic import ValidationError

    from blocks.errors import BadInput
    from blocks.job import JobOptions

    try:
        return JobOptions(**fields)
    except ValidationError as error:
        fault = error.errors()[0]
        name = str(fault["loc"][0]).replace("_", "-")
        raise BadInput(
            f"--{name} is {fault['input']!r}: {fault['msg']}", fix="see `c500 process --help`", field=name
        ) from None


def _check_before_start(options: "JobOptions", *, audio: bool) -> None:
    """Resolve engines and template now: a wrong name should not wait for a server to start."""
    from tasks.jobs.plan import plan_job
    from tasks.llm.template import template_asked_for

    plan_job(options, audio=audio, template_sha256=template_asked_for(options))


def _check_paths(sources: list[str]) -> None:
    from blocks.errors import NotFound

    for source in sources:
        if "://" not in source and not Path(source).exists():
            raise NotFound(f"there is no file {source}", fix="check the path", field="FILES")


def _absolute(source: str) -> str:
    return source if "://" in source else str(Path(source).absolute())


def _read_text(file: str) -> str:
    from blocks.errors import BadInput, NotFound

    try:
        return (sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadInput(f"{file} is not UTF-8 text", fix="convert it, for instance with iconv") from error
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFound(f"there is no text file {file}", fix="check the path", field="FILE") from error


def _comma_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
