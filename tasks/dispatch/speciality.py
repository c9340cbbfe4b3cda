"""Who does a sub-task: what each speciality is told, and how good a model it needs."""

from functools import lru_cache
from pathlib import Path

from pydantic import Field, TypeAdapter

from blocks.accounts.account import Name, Tier
from blocks.model import Frozen
from blocks.yaml_file import read_yaml

OURS = Path(__file__).with_name("specialities.yaml")


class Speciality(Frozen):
    """One way to do a sub-task.

    Attributes:
        description: What it is for, as the coordinator reads it.
        system: What the model is told before every sub-task.
        tier: How good a model it needs; None where the sub-task or the rules of `accounts.yaml` say.
        model: A model's name in `accounts.yaml` instead of a tier.
        max_output_tokens: The most tokens of a result; None for the model's `default_output_tokens`.
        temperature: None for the provider's default.
    """

    description: str = Field(min_length=1)
    system: str = Field(min_length=1)
    tier: Tier | None = None
    model: Name | None = None
    max_output_tokens: int | None = Field(default=None, gt=0)
    temperature: float | None = Field(default=None, ge=0, le=2)


Specialities = dict[Name, Speciality]
TABLE: TypeAdapter[Specialities] = TypeAdapter(Specialities)


@lru_cache(maxsize=1)
def ours() -> Specialities:
    """The specialities that come with C500."""
    return read_specialities(OURS)


def read_specialities(path: Path) -> Specialities:
    """A table of specialities, from YAML.

    Raises:
        NotFound: there is no such file.
        BadInput: it is no YAML, or not of this form; each fault with its line.
    """
    fix = f"correct {path}; docs/dispatch.md shows its form"
    return read_yaml(path, fix=fix, field="specialities").read_as(TABLE)
