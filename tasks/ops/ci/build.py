"""What is triaged: a build, with its files."""

from hashlib import sha256
from pathlib import Path
from typing import Annotated

from pydantic import StringConstraints

from blocks.errors import BadInput
from blocks.model import Frozen

Project = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Word = Annotated[str, StringConstraints(pattern=r"^[\w./:@+-]{1,120}$")]


class Build(Frozen):
    """A build of a project.

    Attributes:
        junit: Its JUnit files; those of retries, too.
        logs: Its logs.
        project: Under which name earlier builds are kept.
        commit: What was built.
        build: Its id; empty: by commit and files, so that the same files are one build.
    """

    junit: tuple[str, ...] = ()
    logs: tuple[str, ...] = ()
    project: Project = "default"
    commit: Word = "unknown"
    build: Annotated[str, StringConstraints(pattern=r"^[\w./:@+-]{0,120}$")] = ""

    def checked(self) -> "Build":
        """Itself, if there is something to look at. Raises `BadInput`."""
        if not self.junit and not self.logs:
            raise BadInput("there is nothing to look at", fix="give JUnit files, logs or both", field="junit")
        return self

    def known_as(self) -> str:
        """Its id."""
        if self.build:
            return self.build
        digest = sha256(self.commit.encode())
        for name in (*self.junit, *self.logs):
            with Path(name).open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    digest.update(chunk)
        return digest.hexdigest()[:12]
