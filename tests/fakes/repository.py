"""Real git repositories for tests."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMED = ("-c", "user.name=Ann", "-c", "user.email=ann@example.org", "-c", "commit.gpgSign=false")


@dataclass(frozen=True)
class Repo:
    """A repository with its work tree."""

    folder: Path

    @classmethod
    def made(cls, folder: Path) -> "Repo":
        """A new one."""
        folder.mkdir(parents=True)
        repo = cls(folder)
        repo.git("init", "-q", "-b", "main")
        return repo

    def git(self, *words: str) -> str:
        """What git says."""
        done = subprocess.run(["git", *NAMED, *words], cwd=self.folder, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def put(self, files: dict[str, str | bytes | None], message: str = "change") -> str:
        """Commit files by path; None takes one away. The commit's id."""
        for name, content in files.items():
            path = self.folder / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")
