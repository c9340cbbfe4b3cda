"""`python -m deployments.docs`: write the pages under `docs/` that are made from the code."""

import json
import sys
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from blocks.batch import BatchReport
from blocks.enhanced import Enhanced, Summary
from blocks.job import JobResult
from blocks.model import Frozen
from blocks.settings import Settings
from blocks.transcript import Transcript

ROOT = Path(__file__).parent.parent
SCHEMAS: dict[str, type[Frozen]] = {
    "result": JobResult,
    "transcript": Transcript,
    "enhanced": Enhanced,
    "summary": Summary,
    "batch-report": BatchReport,
}


def pages() -> dict[str, str]:
    """Every generated file: path from the root, and content."""
    made = {
        f"docs/schemas/{name}.schema.json": json.dumps(model.model_json_schema(), indent=2) + "\n"
        for name, model in SCHEMAS.items()
    }
    made["docs/settings.md"] = settings_page()
    made["docs/cli.md"] = cli_page()
    made[".env.template"] = env_template()
    return made


def settings_page() -> str:
    """All settings as a Markdown table."""
    rows = [
        f"| `{name.upper()}` | {_shown(field.default)} | {_range(name)} | {field.description} |"
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(
        [
            "# Settings",
            "",
            "From the environment, or from a file `.env` in the folder a command is started in. A wrong",
            "value stops at start with the variable's name, its value and what is allowed.",
            "",
            "| variable | default | allowed | meaning |",
            "|---|---|---|---|",
            *rows,
            "",
        ]
    )


def env_template() -> str:
    """All settings as a commented-out `.env` file."""
    lines = ["# Copy to .env and uncomment what you change. Made by `make docs`; see docs/settings.md."]
    for name, field in Settings.model_fields.items():
        lines += ["", f"# {field.description}", f"# {name.upper()}={_plain(field.default)}"]
    return "\n".join(lines) + "\n"


def cli_page() -> str:
    """The help of every command."""
    from typer.main import get_command

    from deployments.cli import app, load_commands

    load_commands()
    group = get_command(app)
    lines = ["# Commands", ""]

    def describe(command: Any, path: str, parent: Any) -> None:
        context = command.make_context(path.rsplit(" ", 1)[-1], [], parent=parent, resilient_parsing=True)
        context.terminal_width = 100
        help_lines = (line.rstrip() for line in command.get_help(context).splitlines())
        lines.extend([f"## `{path}`", "", "```", *help_lines, "```", ""])
        for name, child in sorted(getattr(command, "commands", {}).items()):
            describe(child, f"{path} {name}", context)

    describe(group, "c500", None)
    return "\n".join(lines)


def _plain(value: Any) -> str:
    return "" if value in (None, PydanticUndefined) else str(value)


def _shown(value: Any) -> str:
    return f"`{_plain(value)}`" if _plain(value) else "–"


def _range(name: str) -> str:
    """The allowed values, from the JSON Schema of the setting."""
    schema: dict[str, Any] = Settings.model_json_schema()["properties"][name]
    options = [option for option in schema.get("anyOf", [schema]) if option.get("type") != "null"]
    return ", ".join(filter(None, (_range_of(option) for option in options)))


def _range_of(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    signs = {"exclusiveMinimum": ">", "minimum": "≥", "exclusiveMaximum": "<", "maximum": "≤"}
    bounds = [f"{sign} {schema[key]:g}" for key, sign in signs.items() if key in schema]
    if "pattern" in schema:
        return f"`{schema['pattern']}`".replace("|", "\\|")
    return " and ".join(bounds) or {"boolean": "`true`, `false`", "string": schema.get("format", "text")}.get(
        schema.get("type", ""), ""
    )


def main(*, check: bool) -> int:
    """Write all pages, or with `check` say which are out of date; returns the exit status."""
    stale = [path for path, content in pages().items() if not _same(ROOT / path, content)]
    if check:
        print("\n".join(f"out of date: {path} (run `make docs`)" for path in stale))
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(pages()[path], encoding="utf-8")
    return 0


def _same(path: Path, content: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == content


if __name__ == "__main__":
    sys.exit(main(check="--check" in sys.argv))
