"""Sandboxes of this machine, and what tests look at around them."""

import shutil
import sys
from pathlib import Path

import pytest

from blocks.sandbox import Sandbox, open_sandbox
from blocks.sandbox.restricted import Restricted


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture(scope="session")
def bubblewrap() -> Sandbox:
    """The real one; where it is installed and does not work, that is a failure."""
    if sys.platform != "linux" or not shutil.which("bwrap"):
        pytest.skip("bubblewrap is not installed")
    return open_sandbox("bubblewrap")


@pytest.fixture
def restricted() -> Sandbox:
    if sys.platform != "linux":
        pytest.skip("it needs Linux")
    return Restricted()


@pytest.fixture(params=["bubblewrap", "restricted"])
def sandbox(request: pytest.FixtureRequest) -> Sandbox:
    """Each of both."""
    return request.getfixturevalue(request.param)
