"""Tests run in a sandbox without network, each time on a fresh copy of the tree: what they write there is lost."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.errors import C500Error
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.sandbox import Sandbox, SandboxLimits
from blocks.workspace import Workspace
from tasks.ops.ci.junit import Attempt, attempts_in

REPORT = ".c500-junit.xml"
GIB = 1 << 30
MOST_BYTES = 16_000_000
NO_PYTEST = "No module named pytest"
TOLD = (0, 1, 2, 5)
"""Exit codes of pytest after which its report counts: 3 and 4 are faults of its own or of how it is called."""

ENVIRONMENT = {"PYTHONPATH": "/workspace:/workspace/src", "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
"""The copy's own sources come first, also where the interpreter has the project installed."""


class Ran(Frozen):
    """A run of a file of tests.

    Attributes:
        tests: What each test came to.
        exit_code: Of pytest.
        trouble: Why nothing is known of the tests.
    """

    tests: dict[str, Attempt]
    exit_code: int
    trouble: str = ""

    @property
    def passed(self) -> tuple[str, ...]:
        """Those that passed."""
        return tuple(test for test, one in self.tests.items() if one.outcome == "passed")

    @property
    def failed(self) -> tuple[str, ...]:
        """Those that failed."""
        return tuple(test for test, one in self.tests.items() if one.is_failure)


@dataclass(frozen=True)
class Runner:
    """Runs tests of a tree.

    Attributes:
        sandbox: In it.
        tree: The tree, as files; it stays as it is.
        python: The interpreter.
        environment: Variables beside our own.
        wall_s: Seconds that a run may take.
    """

    sandbox: Sandbox
    tree: Path
    python: str
    environment: Mapping[str, str]
    wall_s: float

    async def run(self, file: str, text: str | None = None) -> Ran:
        """Run a file of tests, with another text where one is given."""
        with TemporaryDirectory(prefix="c500-tests-") as parent:
            folder = Path(parent) / "tree"
            await in_thread(shutil.copytree, self.tree, folder)
            if text is not None:
                (folder / file).write_bytes(text.encode())
            argv = (self.python, "-m", "pytest", "-p", "no:cacheprovider", f"--junit-xml={REPORT}", f"./{file}")
            limits = SandboxLimits(
                memory_bytes=8 * GIB,
                wall_s=self.wall_s,
                cpu_s=max(1, int(self.wall_s)),
                output_bytes=100_000,
                processes=256,
            )
            done = await self.sandbox.run(
                argv, workspace=folder, limits=limits, env={**ENVIRONMENT, **self.environment}
            )
            said = done.killed or (done.stderr.strip() or done.stdout.strip())[-300:]
            return await in_thread(_read, folder, done.exit_code, said, self.python)


def _read(folder: Path, exit_code: int, said: str, python: str) -> Ran:
    try:
        content = Workspace(folder).read_bytes(REPORT, most=MOST_BYTES)
        tests = {one.test: one for one in attempts_in(content, REPORT)}
    except C500Error:  # what ran there may have left anything under this name, or nothing
        tests = {}
    if not tests or exit_code not in TOLD:
        # The sandbox's own Python says so, before any code of the repository runs.
        hint = f"; {python} has no pytest: name an interpreter that has it (--python)" if NO_PYTEST in said else ""
        return Ran(tests={}, exit_code=exit_code, trouble=f"pytest ended with {exit_code}: {said}{hint}")
    return Ran(tests=tests, exit_code=exit_code)
