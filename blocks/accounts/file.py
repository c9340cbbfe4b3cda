"""Reading `accounts.yaml`: what is wrong with it, is told with its line."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from blocks.accounts.account import Accounts
from blocks.errors import BadInput, NotFound


def read_accounts(path: Path) -> Accounts:
    """The accounts of a file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML or not of this form; `details["problems"]` has all of them, each with its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise NotFound(f"there is no file {path}", fix="write one; docs/accounts.md shows how", field="path") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read: {error}", fix="correct the file", field="path") from error
    return parse_accounts(text, str(path))


def parse_accounts(text: str, name: str = "accounts.yaml") -> Accounts:
    """The accounts of a file's text; see `read_accounts`."""
    try:
        tree = _compose(text)
        content: Any = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else 1
        # Without the YAML error, which quotes the line: somebody may have written the secret itself there.
        raise _bad(name, [f"{name}:{line}: {getattr(error, 'problem', None) or 'it is no YAML'}"]) from None
    if not isinstance(content, dict):
        raise _bad(name, [f"{name}:1: the file holds no mapping with `accounts:`"])
    try:
        return Accounts.model_validate(content)
    except ValidationError as error:
        # Only places and messages: a wrong value may be a secret that somebody wrote where its name belongs.
        faults = error.errors(include_url=False, include_input=False, include_context=False)
        places = [fault["loc"] for fault in faults]
        problems = [
            f"{name}:{_line(tree, place)}: {'.'.join(map(str, place)) or 'file'}: {fault['msg']}"
            for fault, place in zip(faults, places, strict=True)
            # A list whose items are wrong is also said to be empty.
            if not any(len(other) > len(place) and other[: len(place)] == place for other in places)
        ]
        raise _bad(name, problems) from None


def _compose(text: str) -> yaml.Node | None:
    return yaml.compose(text, Loader=yaml.SafeLoader)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _line(tree: yaml.Node | None, place: Sequence[int | str]) -> int:
    """The line of a place, or of the innermost part of it that the file has."""
    node, line = tree, tree.start_mark.line + 1 if tree else 1
    for step in place:
        found: yaml.Node | None = None
        if isinstance(node, yaml.MappingNode):
            pairs: list[tuple[yaml.Node, yaml.Node]] = node.value
            for key, value in pairs:
                if str(key.value) == str(step):
                    found, line = value, key.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = node.value[step]
            line = node.value[step].start_mark.line + 1
        if found is None:
            break
        node = found
    return line


def _bad(name: str, problems: list[str]) -> BadInput:
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return BadInput(problems[0] + more, fix=f"correct {name}; docs/accounts.md shows its form", problems=problems)
