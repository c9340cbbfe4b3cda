"""Secrets that a file only names: `env:NAME`, `prefect:BLOCK`, `file:PATH#NAME` or `none`."""

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from blocks.accounts.sealed import unseal
from blocks.errors import BadInput, EngineUnavailable, NotFound
from blocks.progress import in_thread

SHAPE = re.compile(r"none|env:\w+|prefect:[a-z0-9-]+|file:[^#]+#[\w.-]+")


def _leads_to_secret(reference: str) -> str:
    if not SHAPE.fullmatch(reference):
        raise ValueError(
            "here belongs where the secret is, never the secret itself: env:NAME (an environment variable), "
            "prefect:BLOCK, file:PATH#NAME (made by c500 accounts seal), or none"
        )
    return reference


SecretReference = Annotated[str, AfterValidator(_leads_to_secret)]
"""Where a secret is, as a field of a file says it."""


async def secret_at(reference: str, folder: Path, field: str) -> str:
    """The secret that a reference leads to; empty for `none`.

    Args:
        reference: Where it is.
        folder: Where relative paths of `file:` begin.
        field: The field that names it, for errors.

    Raises:
        NotFound, BadInput: it is not there, or is no line of text.
        NotAllowed: the sealed file does not open.
        EngineUnavailable: the store of secrets cannot be reached.
    """
    secret = (await _read(reference, folder, field)).strip()
    if not secret.isprintable():  # never quoted here
        raise BadInput(f"{field}: the secret holds line breaks or control characters", fix="give it alone", field=field)
    return secret


async def _read(reference: str, folder: Path, field: str) -> str:
    kind, _, place = reference.partition(":")
    if kind == "none":
        return ""
    if kind == "env":
        found = os.environ.get(place)
        if not found or found.isspace():
            raise _missing(field, f"the environment variable {place} is not set", f"set {place}")
        return found
    if kind == "prefect":
        return await _from_prefect(place, field)
    file, _, name = place.partition("#")
    path = folder / Path(file).expanduser()
    secrets = await in_thread(unseal, path)
    if name not in secrets:
        raise _missing(field, f"{path} has no secret {name!r}", f"add it: c500 accounts seal {path} {name}")
    return secrets[name]


async def _from_prefect(name: str, field: str) -> str:
    import httpx
    from prefect.blocks.system import Secret

    try:
        block = await Secret.aload(name)  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    except ValueError as error:
        raise _missing(field, f"Prefect has no secret block {name!r}", "make it in the Prefect UI") from error
    except httpx.HTTPError as error:
        raise EngineUnavailable(
            f"{field}: Prefect cannot be asked for the secret block {name!r}: {type(error).__name__}",
            fix="look whether the Prefect server runs",
            field=field,
        ) from error
    value: object = block.get()  # pyright: ignore[reportUnknownVariableType, reportUnknownMemberType]
    if not isinstance(value, str) or not value:
        raise BadInput(f"{field}: the Prefect secret {name!r} is no text", fix="give it a text", field=field)
    return value


def _missing(field: str, problem: str, fix: str) -> NotFound:
    return NotFound(f"{field}: {problem}", fix=fix, field=field)
