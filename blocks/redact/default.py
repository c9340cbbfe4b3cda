"""The redactor of this process, which knows the secrets of its settings and of its environment."""

import os
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from blocks.redact.literals import SHORTEST
from blocks.redact.names import secret_kind
from blocks.redact.redactor import Redactor

if TYPE_CHECKING:
    from blocks.settings import Settings


def default_redactor() -> Redactor:
    """A redactor that also knows the values of secret settings and of variables named like secrets.

    Raises:
        BadInput: a setting is wrong.
    """
    from blocks.settings import settings  # pydantic: a tenth of a second that importing a redactor saves

    chosen = settings()
    return _redactor(frozenset(secrets_of(chosen, os.environ)), chosen.redact_vietnamese)


@lru_cache(maxsize=4)
def _redactor(literals: frozenset[str], vietnamese: bool) -> Redactor:
    return Redactor(literals, vietnamese=vietnamese)


def secrets_of(chosen: "Settings", environment: Mapping[str, str]) -> Iterator[str]:
    """The values that must not be seen: secret settings, passwords in addresses, variables named like secrets."""
    from pydantic import SecretStr

    for name in type(chosen).model_fields:
        value: object = getattr(chosen, name)
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
            yield from _password(value.get_secret_value())
        elif isinstance(value, str):
            yield from _password(value)
    for name, value in environment.items():
        if len(value) >= SHORTEST and secret_kind(name) and not os.path.isabs(value):  # noqa: PTH117 - no Path of it
            yield value


def _password(url: str) -> Iterator[str]:
    try:
        password = urlsplit(url).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)
