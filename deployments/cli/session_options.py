"""Options that several commands of `c500 session` have."""

from pathlib import Path
from typing import Annotated, Any

import typer

from deployments.cli.given import text_of

Server = Annotated[
    str | None, typer.Option(help="Server of AGENT_SERVERS_FILE; by default the session's, or the only one.")
]
Prompt = Annotated[str | None, typer.Option(help="What the agent shall do.")]
PromptFile = Annotated[Path | None, typer.Option(help="The same from a file; - for standard input.")]
Files = Annotated[list[Path] | None, typer.Option("--file", help="File that the agent is given; repeatable.")]
Checks = Annotated[Path | None, typer.Option(help="YAML file of what proves that it is done.")]
Answer = Annotated[str | None, typer.Option(help="Given to questions of the agent.")]
Output = Annotated[list[str] | None, typer.Option("--output", help="File to collect besides those named; repeatable.")]
Unpack = Annotated[bool, typer.Option("--unpack", help="Unpack .zip files among them, too, into `unpacked`.")]
Into = Annotated[Path | None, typer.Option(help="Folder for the files; by default the store.")]
Name = Annotated[str, typer.Option(help="Tells it from another task of the same prompt and files.")]
Again = Annotated[bool, typer.Option("--again", help="What was given up has its allowance once more.")]
MaxContinues = Annotated[int | None, typer.Option(help="Prompts after the first one; by default 3.")]
MaxSilent = Annotated[
    int | None, typer.Option(help="Silent stops in a row with which it ends, within --max-continues; by default 2.")
]
WallS = Annotated[float | None, typer.Option(help="Seconds of all turns together; by default 14,400.")]
ToolCalls = Annotated[int | None, typer.Option(help="Calls of tools of all turns together; by default 2,000.")]


def prompt_of(text: str | None, path: Path | None) -> str:
    """The prompt, from one of its two options. Raises `BadInput`."""
    from blocks.errors import BadInput

    if (text is None) == (path is None):
        raise BadInput("give either --prompt or --prompt-file", fix="as --prompt 'Write output.csv.'", field="--prompt")
    return text if text is not None else text_of(path or Path("-"), "--prompt-file")


def allowance_of(
    max_continues: int | None, max_silent: int | None, wall_s: float | None, tool_calls: int | None
) -> dict[str, Any]:
    """The fields of an allowance that were given."""
    given = {"max_continues": max_continues, "max_silent": max_silent, "wall_s": wall_s, "tool_calls": tool_calls}
    return {name: value for name, value in given.items() if value is not None}
