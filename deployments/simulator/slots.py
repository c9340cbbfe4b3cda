"""Turns at a server that works on a bounded number of calls at once, as vLLM's `--max-num-seqs`."""

import asyncio
from collections import deque


class Slots:
    """Calls that find all slots taken wait, in the order of their arrival.

    A slot passes on at the moment its call should have ended, not when our timer woke up: so the queue is that of the
    latencies drawn, however busy this machine is, and what a caller has to measure is known exactly.

    Args:
        limit: How many there are; None for as many as are asked for.
    """

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._taken = 0
        self._waiting: deque[tuple[float, asyncio.Future[float]]] = deque()

    async def enter(self) -> float:
        """Wait for a slot.

        Returns:
            The moment from which it is the call's, by the clock of the event loop.
        """
        loop = asyncio.get_running_loop()
        arrived = loop.time()
        if not self._waiting and (self.limit is None or self._taken < self.limit):
            self._taken += 1
            return arrived
        turn = loop.create_future()
        self._waiting.append((arrived, turn))
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave(turn.result())
            raise

    def leave(self, at: float) -> None:
        """A call is over since this moment."""
        self._taken -= 1
        self._pass_on(at)

    def set(self, limit: int | None) -> None:
        """Let there be so many from now on; calls at work go on."""
        self.limit = limit
        if self._waiting:
            self._pass_on(asyncio.get_running_loop().time())

    def _pass_on(self, at: float) -> None:
        while self._waiting and (self.limit is None or self._taken < self.limit):
            arrived, turn = self._waiting.popleft()
            if not turn.done():
                self._taken += 1
                turn.set_result(max(arrived, at))
