"""Rehearsing an accounts.yaml: a copy of it that leads to the simulator, and what the rehearsal showed."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml
from pydantic import TypeAdapter, ValidationError

from blocks.accounts.account import USD_UNIT, Account, Dialect
from blocks.errors import BadInput
from blocks.yaml_file import read_yaml
from deployments.simulator.behaviour import Behaviour

HEAD = "# Made by `c500 simulate-llm`: leads to the simulator, not to a provider, and costs nothing.\n"
FIELDS = TypeAdapter(dict[str, Any])
SINGLE = TypeAdapter(dict[str, dict[str, Any]])
BEHAVIOUR = TypeAdapter(Behaviour)
VERSIONS: dict[Dialect, str] = {"openai": "v1", "anthropic": "v1", "gemini": "v1beta"}


def account_url(url: str, account: Account) -> str:
    """The base URL of an account at a simulator that listens at `url`; it needs no key."""
    return f"{url}/a/{quote(account.name, safe='')}/{VERSIONS[account.dialect]}"


def copy_path(original: Path, wanted: Path | None) -> Path:
    """Where the copy goes: what was asked for, else `NAME.simulated.yaml` beside the original.

    Raises:
        BadInput: it would replace the original, or a file that is not such a copy.
    """
    path = wanted or original.with_name(f"{original.stem}.simulated{original.suffix}")
    if path.exists() and not path.read_text(encoding="utf-8", errors="replace").startswith(HEAD):
        what = "the original itself" if path.samefile(original) else "a file that simulate-llm did not write"
        raise BadInput(f"{path} is {what}", fix="give another path with --write", field="--write")
    return path


def write_copy(original: Path, accounts: tuple[Account, ...], url: str, path: Path) -> None:
    """Write the file again, with the accounts at the simulator.

    Args:
        original: The file; it was read without an error.
        accounts: Its accounts, in its order.
        url: Where the simulator listens.
        path: Where to write.

    Raises:
        BadInput: the copy cannot be written.
    """
    content: dict[str, Any] = yaml.safe_load(original.read_text(encoding="utf-8"))
    for written, account in zip(content["accounts"], accounts, strict=True):
        written["base_url"] = account_url(url, account)
        written["key"] = "none"
    try:
        path.write_text(HEAD + yaml.safe_dump(content, sort_keys=False, allow_unicode=True), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error}", fix="give another path with --write") from error


def read_behaviour(path: Path) -> dict[str, Any]:
    """The fields of `Behaviour` in a YAML file, and under `accounts` those of single accounts.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML, or a value is wrong; each fault with its line.
    """
    read = read_yaml(path, fix=f"correct {path}; see docs/simulator.md", field="--behaviour")
    if read.content is None:
        return {}
    content = read.read_as(FIELDS)
    common = {name: value for name, value in content.items() if name != "accounts"}
    read.part_as(BEHAVIOUR, common, ())
    for name, single in read.part_as(SINGLE, content.get("accounts") or {}, ("accounts",)).items():
        read.part_as(BEHAVIOUR, {**common, **single}, ("accounts", name))
    return content


def behaviour_of(fields: dict[str, Any]) -> Behaviour:
    """The behaviour of these fields.

    Raises:
        BadInput: a value is wrong, with the field's name.
    """
    try:
        return Behaviour.model_validate(fields)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False)[0]
        place = ".".join(map(str, fault["loc"]))
        raise BadInput(f"behaviour: {place}: {fault['msg']}", fix="see docs/simulator.md", field=place) from None


def outcome(books: dict[str, Any]) -> Iterator[str]:
    """What the rehearsal showed, a line for each account."""
    accounts: dict[str, Any] = books["accounts"]
    for name, book in accounts.items():
        windows: dict[str, dict[str, Any]] = book["windows"]
        peaks = ", ".join(
            f"{window} {one['peak']} of {one['limit']}" for window, one in windows.items() if one["limit"] is not None
        )
        charged = book["charged"]
        usd = charged["cost_units"] / USD_UNIT
        refused = sum(book["refused"].values())
        yield f"{name}: {book['accepted']} taken, {refused} refused, ${usd:.6f}" + (
            f"; at most {peaks}" if peaks else ""
        )
