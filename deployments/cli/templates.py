"""`c500 templates`: what summaries can look like."""

import json
from pathlib import Path
from typing import Annotated

import typer

from deployments.cli import app

commands = typer.Typer(help="Summary templates.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(commands, name="templates")


@commands.command("list")
def list_all() -> None:
    """List all templates, ours and yours."""
    from tasks.llm.template import read_templates

    templates, broken = read_templates()
    for template in templates:
        typer.echo(f"{template.name:24} {template.language or '-':4} {template.description}")
    for name, error in broken.items():
        typer.echo(f"{name:24} {'-':4} broken: {error.message}")


@commands.command("show")
def show(name: Annotated[str, typer.Argument(help="Name of a template.")]) -> None:
    """Show a template's schema, prompt and example."""
    from tasks.llm.template import load_template

    template = load_template(name)
    schema, example = (json.dumps(part, ensure_ascii=False, indent=2) for part in (template.schema_, template.example))
    for file, content in {"schema.json": schema, "prompt.jinja": template.prompt, "example.json": example}.items():
        typer.echo(f"--- {file}\n{content.rstrip()}")


@commands.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder with schema.json, prompt.jinja and example.json.")],
) -> None:
    """Check a template of your own: is the schema one, does the prompt render, does the example fit."""
    from tasks.llm.template import check_template

    problems = check_template(folder)
    for problem in problems:
        typer.echo(problem, err=True)
    if problems:
        raise typer.Exit(2)
    typer.echo(f"{folder.name}: all right")
