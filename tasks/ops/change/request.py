"""What is reviewed."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from blocks.errors import BadInput, NotFound
from blocks.model import Frozen
from tasks.ops.change.diff import DIFF_BYTES
from tasks.ops.change.result import Severity


class Asked(Frozen):
    """A change to review: two commits of a repository, or a diff.

    Attributes:
        repository: Folder of the repository.
        base: Where the change begins; what parted from `head` since is left out.
        head: Where it ends.
        diff: File of a unified diff instead. Of it only lines are known: no tool runs, and files are not read whole.
        rules: File of the project's rules; empty for the defaults.
        fail_on: The severity from which on the change fails.
    """

    repository: str = "."
    base: str = Field(default="", max_length=200)
    head: str = Field(default="HEAD", max_length=200)
    diff: str = ""
    rules: str = ""
    fail_on: Severity = "high"

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if bool(self.base) == bool(self.diff):
            raise ValueError("give either a base commit or a diff")
        return self

    @property
    def subject(self) -> str:
        """What it is, in a line."""
        return Path(self.diff).name if self.diff else f"{self.base}..{self.head}"

    def read(self) -> bytes:
        """The diff's file. Raises `NotFound`, `BadInput`."""
        try:
            with Path(self.diff).open("rb") as stream:
                return stream.read(DIFF_BYTES + 1)
        except FileNotFoundError as error:
            raise NotFound(f"there is no file {self.diff}", fix="check the path", field="diff") from error
        except OSError as error:
            raise BadInput(f"{self.diff} cannot be read: {error.strerror}", fix="give a diff", field="diff") from error
