"""A server that does not answer, or asks to wait, is asked again, and not for ever."""

import pytest

from blocks.errors import C500Error, EngineUnavailable, LimitReached, NotAllowed
from blocks.iiagent.server import Limits
from tasks.sessions.patience import patiently

LIMITS = Limits(retries=2, backoff_s=0.001, longest_backoff_s=0.001)


@pytest.mark.parametrize("error", [EngineUnavailable, LimitReached])
@pytest.mark.parametrize("failures", [0, 2, 3])
async def test_what_passes_is_waited_for_so_often_and_no_more(error: type[C500Error], failures: int) -> None:
    tries: list[int] = []

    async def work() -> str:
        tries.append(1)
        if len(tries) <= failures:
            raise error("not now", fix="wait")
        return "done"

    if failures <= LIMITS.retries:
        assert await patiently(work, LIMITS) == "done"
    else:
        with pytest.raises(error):
            await patiently(work, LIMITS)
    assert len(tries) == min(failures, LIMITS.retries) + 1


async def test_what_does_not_pass_is_told_at_once() -> None:
    tries: list[int] = []

    async def work() -> None:
        tries.append(1)
        raise NotAllowed("no", fix="ask for it")

    with pytest.raises(NotAllowed):
        await patiently(work, LIMITS)
    assert len(tries) == 1
