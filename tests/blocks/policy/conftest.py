"""A workspace with what attacks use."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of an agent's files, with links that lead out and in."""
    folder = tmp_path_factory.mktemp("ws").resolve()
    (folder / "a.txt").write_text("a")
    (folder / ".env").write_text("KEY=1")
    (folder / "innocent.txt").symlink_to(folder / ".env")
    (folder / "etc-link").symlink_to("/etc")
    (folder / "srv-link").symlink_to("/srv")
    (folder / "linked-ls").symlink_to("/usr/bin/ls")
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / "sub").mkdir()
    return folder
