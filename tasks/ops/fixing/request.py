"""Which tests are to be put right."""

import sys
from pathlib import Path
from typing import Literal

from pydantic import Field

from blocks.errors import BadInput
from blocks.model import Frozen

Allowed = Literal["skip", "expected", "assertions"]
"""What a fix may not do by itself: skip a test where an optional dependency is absent; change expected values that no
change of the source explains; change or drop assertions."""


class FixAsked(Frozen):
    """Tests to put right.

    Attributes:
        repository: Folder of the repository.
        base: The commit on which they fail; branches begin there.
        since: An earlier commit on which they passed: what changed since explains a fix. Empty: the parent of `base`.
        junit: JUnit files of the build that failed.
        tests: Files of tests beside those, as `tests/test_cart.py`.
        python: An interpreter that has what the tests need, and pytest; empty: our own.
        environment: Variables for the tests.
        allow: What fixes may do beyond the strict rules.
        most: Most tests that are tried.
        wall_s: Seconds that a run of one file may take.
    """

    repository: str = "."
    base: str = Field(default="HEAD", max_length=200)
    since: str = Field(default="", max_length=200)
    junit: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()
    python: str = ""
    environment: dict[str, str] = Field(default_factory=dict)
    allow: tuple[Allowed, ...] = ()
    most: int = Field(default=20, ge=1, le=200)
    wall_s: float = Field(default=300, gt=0, le=3600)

    def checked(self) -> "FixAsked":
        """Itself, if it can be done. Raises `BadInput`."""
        if not self.junit and not self.tests:
            raise BadInput("no test is named", fix="give JUnit files or files of tests", field="tests")
        if self.python and not Path(self.python).is_file():
            raise BadInput(f"there is no interpreter {self.python}", fix="check the path", field="python")
        return self

    def interpreter(self) -> str:
        """Path of the interpreter."""
        return self.python or sys.executable

    def readable(self) -> tuple[Path, ...]:
        """The folders that the interpreter needs in a sandbox, beside the system. Raises `BadInput`."""
        own = Path(self.interpreter()).absolute()
        folders = dict.fromkeys((own.parent.parent, own.resolve().parent.parent))
        if any(len(folder.parts) < 3 and folder != Path("/usr") for folder in folders):
            raise BadInput(f"{own} is in no folder of its own", fix="give one of a virtual environment", field="python")
        return tuple(folder for folder in folders if not folder.is_relative_to("/usr"))
