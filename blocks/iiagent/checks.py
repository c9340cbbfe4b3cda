"""Proof that an agent did what it was asked: data, each giving «holds» or what is missing, to be sent as a prompt."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from blocks.errors import C500Error, NotFound, TooLarge
from blocks.iiagent.csv_shape import CsvShape
from blocks.iiagent.files_exist import FilesExist
from blocks.iiagent.json_matches import JsonSchema
from blocks.iiagent.message_matches import MessageMatches
from blocks.iiagent.proof import Proof, fails
from blocks.iiagent.tree import Blocked
from blocks.iiagent.workspace import Workspace
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

Check = Annotated[FilesExist | CsvShape | JsonSchema | MessageMatches, Field(discriminator="kind")]
"""One check; a new kind is a record with `kind` and `prove`, and its name here."""

MOST_CHARS = 6000
"""Of what is sent to an agent."""


class Checks(Frozen):
    """What proves that a task is done.

    Attributes:
        checks: All of them have to hold.
    """

    checks: tuple[Check, ...] = Field(min_length=1, max_length=100)


class Proven(Frozen):
    """What a set of checks found.

    Attributes:
        proofs: One for each check, in order.
    """

    proofs: tuple[Proof, ...]

    @property
    def holds(self) -> bool:
        """Whether all hold."""
        return all(proof.holds for proof in self.proofs)

    @property
    def missing(self) -> str:
        """What is missing, a line for each check that does not hold, to be sent to the agent; "" where all hold."""
        lines = [proof.missing for proof in self.proofs if not proof.holds]
        kept: list[str] = []
        for line in lines:
            if kept and sum(map(len, kept)) + len(line) > MOST_CHARS:
                return "\n".join([*kept, f"- And {len(lines) - len(kept)} more things are missing."])
            kept.append(f"- {line}")
        return "\n".join(kept)


FORM = TypeAdapter(Checks)


def read_checks(path: Path) -> Checks:
    """The checks of a YAML file.

    Raises:
        NotFound: there is no such file.
        BadInput: it is none of checks; `details["problems"]` has every fault with its line.
    """
    fix = f"correct {path}; docs/sessions.md shows its form"
    return read_yaml(path, fix=fix, field="checks", absent="write one; docs/sessions.md shows how").read_as(FORM)


async def prove(checks: Sequence[Check], workspace: Workspace, message: str = "") -> Proven:
    """Hold a session against checks.

    Args:
        checks: What has to hold.
        workspace: Its files.
        message: What the agent said last.

    Raises:
        EngineUnavailable: the files cannot be read for the moment. That proves nothing, in either direction.
    """
    return Proven(proofs=tuple([await _prove(check, workspace, message) for check in checks]))


async def _prove(check: Check, workspace: Workspace, message: str) -> Proof:
    try:
        return await check.prove(workspace, message)
    except NotFound:
        return fails(f"{_path(check)} is missing: write it.")
    except (Blocked, TooLarge) as error:
        return fails(f"{_path(check)} cannot be used: {_said(error)}. Write it anew as a plain file.")


def _path(check: Check) -> str:
    return str(getattr(check, "path", "a file"))


def _said(error: C500Error) -> str:
    return error.message.split(" in /", 1)[0] if isinstance(error, Blocked) else error.message
