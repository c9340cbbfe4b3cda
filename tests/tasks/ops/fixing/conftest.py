"""A project with tests that fail, in a real repository, and what puts them right."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tasks.ops.fixing.carry_out import put_right
from tasks.ops.fixing.request import FixAsked
from tasks.ops.fixing.result import FixReport
from tests.fakes.repository import Repo
from tests.tasks.ops.conftest import MakePerformer

# Plugins of our own environment take seconds to load, and no test here needs one.
BARE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
Fixing = Callable[..., Awaitable[FixReport]]

CART = "def total(prices):\n    return sum(prices)\n\n\ndef greeting(name):\n    return f'Hello {name}'\n"
TESTS = "from shop.cart import total\n\n\ndef test_total():\n    assert total([1, 2]) == 3\n"


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    """A shop with a cart and its test, which passes."""
    repo = Repo.made(tmp_path / "repo")
    repo.put({"shop/__init__.py": "", "shop/cart.py": CART, "tests/test_cart.py": TESTS})
    return repo


@pytest.fixture
def fixing(repo: Repo, make_performer: MakePerformer) -> Fixing:
    """Put tests of the repository right."""

    async def fix(*tests: str, performer: dict[str, Any] | None = None, **facts: Any) -> FixReport:
        asked = FixAsked(
            repository=str(repo.folder),
            tests=tests or ("tests/test_cart.py",),
            environment=BARE,
            **facts,
        )
        return await put_right(make_performer(**performer or {}), asked.checked())

    return fix
