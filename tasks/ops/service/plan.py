"""The plan of a deployment."""

from pathlib import Path
from typing import Self

from pydantic import Field, TypeAdapter, model_validator

from blocks.model import Frozen
from blocks.yaml_file import read_yaml
from tasks.ops.service.commands import Command, ServiceName, Version
from tasks.ops.service.rolling_back import RollbackLimits

FIX = "correct the plan; docs/operations/rollouts.md shows its form"


class DeployPlan(Frozen):
    """How a version of a service is deployed.

    Attributes:
        service, version: What.
        attempts: Runs that may try the version, until a person clears it.
        checks: Commands that change nothing and must end with 0 before anything is done.
        deploy: Commands that deploy it.
        verify: Commands that change nothing and end with 0 where it runs well.
        rollback: Commands that take it back where deploying or verifying fails; none: people are told.
        limits: How often the service may be rolled back.
        watch: A rollout plan that is carried out once it is verified; relative to this one.
    """

    service: ServiceName
    version: Version
    attempts: int = Field(default=2, ge=1, le=100)
    checks: tuple[Command, ...] = ()
    deploy: tuple[Command, ...] = Field(min_length=1)
    verify: tuple[Command, ...] = ()
    rollback: tuple[Command, ...] = ()
    limits: RollbackLimits = RollbackLimits()
    watch: Path | None = None
    folder: Path = Field(default=Path(), exclude=True)

    @property
    def commands(self) -> tuple[Command, ...]:
        """All there are."""
        return (*self.checks, *self.deploy, *self.verify, *self.rollback)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("checks", "deploy", "verify", "rollback"):
            commands: tuple[Command, ...] = getattr(self, name)
            if len({one.name for one in commands}) < len(commands):
                raise ValueError(f"{name} have the same name twice")
        if any(one.tries > 1 for one in (*self.deploy, *self.rollback)):
            raise ValueError("only checks and verify have tries: what changes something is done once")
        return self


FORM = TypeAdapter(DeployPlan)


def read_deployment(path: Path, *, version: str | None = None) -> DeployPlan:
    """The plan of a file.

    Args:
        path: Where it lies.
        version: In place of that of the file.

    Raises:
        NotFound, BadInput: it is not there, or is wrong; `details["problems"]` has every fault with its line.
    """
    read = read_yaml(path.expanduser(), fix=FIX, field="plan")
    content = read.content
    if version is not None and isinstance(content, dict):
        content = {**content, "version": version}
    plan = read.part_as(FORM, content, ())
    return plan.model_copy(update={"folder": path.expanduser().absolute().parent})
