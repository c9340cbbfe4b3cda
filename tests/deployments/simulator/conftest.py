"""A simulator in a thread of the test process."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from blocks.accounts.account import Account
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.serve import InProcess, simulate
from tests.deployments.simulator.calling import account

Serve = Callable[..., InProcess]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves accounts, by default one of OpenAI's without limits, until the test ends."""
    with ExitStack() as stack:

        def serve_these(*accounts: Account, **behaviour: Any) -> InProcess:
            return stack.enter_context(simulate(accounts or [account()], Behaviour(**behaviour)))

        yield serve_these
