"""Reading `accounts.yaml`: what is wrong with it, is told with its line."""

from pathlib import Path

from pydantic import TypeAdapter

from blocks.accounts.account import Accounts
from blocks.yaml_file import YamlText, parse_yaml, read_yaml

FORM = TypeAdapter(Accounts)
ABSENT = "write one; docs/accounts.md shows how"


def read_accounts(path: Path) -> Accounts:
    """The accounts of a file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML or not of this form; `details["problems"]` has all of them, each with its line.
    """
    return _accounts(read_yaml(path, fix=_fix(str(path)), absent=ABSENT))


def parse_accounts(text: str, name: str = "accounts.yaml") -> Accounts:
    """The accounts of a file's text; see `read_accounts`."""
    return _accounts(parse_yaml(text, name, fix=_fix(name)))


def _accounts(read: YamlText) -> Accounts:
    return read.read_as(FORM)


def _fix(name: str) -> str:
    return f"correct {name}; docs/accounts.md shows its form"
