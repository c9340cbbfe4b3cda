"""Put tests right in a process that is killed at its branch. Run as a program: REPOSITORY, and `before` or `after`."""

import asyncio
import os
import signal
import sys
from typing import Any

from blocks.audit.places import open_audit
from blocks.effects import EffectLedger
from blocks.policy.open import open_operations_policy
from blocks.redact import default_redactor
from blocks.settings import settings
from blocks.switches import FOLDER, open_switches
from tasks.ops.fixing import carry_out
from tasks.ops.fixing.branch import make_branch
from tasks.ops.fixing.request import FixAsked
from tasks.ops.performer import Performer
from tests.tasks.ops.fixing.conftest import BARE


async def nobody(*_: Any) -> Any:
    raise AssertionError("nobody is asked or told anything")


async def main(repository: str, when: str) -> None:
    home = settings().agents_home
    home.mkdir(parents=True, exist_ok=True)
    performer = Performer(
        run_id="run-1",
        flow="test-flow",
        user="ann",
        begun_by="ann",
        profile="staging",
        attended=True,
        dry_run=False,
        approval_s=60.0,
        policy=open_operations_policy(),
        effects=EffectLedger(home / "effects"),
        audit=open_audit(home, default_redactor()),
        switches=open_switches("", home / FOLDER),
        redactor=default_redactor(),
        ask=nobody,
        tell=nobody,
    )

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
