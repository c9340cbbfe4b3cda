"""A program that writes down how it was called, and then says what it was told to."""

import json
import sys
from pathlib import Path
from typing import Any

SCRIPT = """#!{python} -IS
import json, os, sys
told = json.load(open({answers!r}))
given = sys.stdin.read()
with open({calls!r}, "a") as calls:
    calls.write(json.dumps({{"argv": sys.argv[1:], "env": dict(os.environ), "stdin": given}}) + "\\n")
for words, answer in told:
    if all(word in sys.argv for word in words):
        sys.stdout.write(answer.get("stdout", ""))
        sys.stderr.write(answer.get("stderr", ""))
        sys.exit(answer.get("code", 0))
"""


class Recorder:
    """A program of this name in a folder.

    Args:
        folder: Where.
        name: Of the program.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._answers, self._calls = folder / f"{name}.answers", folder / f"{name}.calls"
        self._told: list[Any] = []
        self._answers.write_text("[]")
        program = folder / name
        program.write_text(SCRIPT.format(python=sys.executable, answers=str(self._answers), calls=str(self._calls)))
        program.chmod(0o755)

    def says(self, *words: str, stdout: str = "", stderr: str = "", code: int = 0) -> None:
        """Answer so where these words are among its arguments."""
        self._told.insert(0, (words, {"stdout": stdout, "stderr": stderr, "code": code}))
        self._answers.write_text(json.dumps(self._told))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """Arguments, environment and input of each call."""
        return [json.loads(line) for line in self._calls.read_text().splitlines()] if self._calls.exists() else []
