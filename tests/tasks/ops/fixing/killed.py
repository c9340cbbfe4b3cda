"""Put tests right in a process that is killed at its branch. Run as a program: REPOSITORY, and `before` or `after`."""

import asyncio
import os
import signal
import sys
from typing import Any

from blocks.settings import settings
from tasks.ops.fixing import carry_out
from tasks.ops.fixing.branch import make_branch
from tasks.ops.fixing.request import FixAsked
from tests.tasks.ops.fixing.conftest import BARE
from tests.tasks.ops.performers import performer_in


async def main(repository: str, when: str) -> None:
    performer = performer_in(settings().agents_home)

    async def dies(*given: Any) -> None:
        if when == "after":
            await make_branch(*given)
        os.kill(os.getpid(), signal.SIGKILL)

    carry_out.make_branch = dies
    await carry_out.put_right(
        performer, FixAsked(repository=repository, tests=("tests/test_cart.py",), environment=BARE)
    )


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
