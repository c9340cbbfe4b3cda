"""Serving a simulator: until it is stopped, or for a block of code in a thread of this process."""

import asyncio
import signal
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterable
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from urllib.parse import quote

from aiohttp import web

from blocks.accounts.account import Account
from deployments.simulator.behaviour import Behaviour
from deployments.simulator.simulator import Simulator

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

HOST = "127.0.0.1"
LARGEST_BODY_BYTES = 32 * 2**20
BACKLOG = 4096
START_S = 30.0


@asynccontextmanager
async def listening(handle: Handler, port: int) -> AsyncGenerator[str]:
    """Answer requests at a port of this machine, 0 for a free one; gives the address.

    Raises:
        OSError: the port is taken.
    """

    def make_request(*parts: Any) -> web.BaseRequest:
        loop = asyncio.get_running_loop()
        return web.BaseRequest(*parts, loop=loop, client_max_size=LARGEST_BODY_BYTES)

    server = web.Server(
        handle, request_factory=make_request, handler_cancellation=True, access_log=None, tcp_keepalive=False
    )
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, HOST, port, backlog=BACKLOG).start()
        yield f"http://{HOST}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def serve_until_stopped(handle: Handler, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; the address is told once it can be called.

    Raises:
        OSError: the port is taken.
    """
    stopped, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    async with listening(handle, port) as url:
        on_ready(url)
        await stopped.wait()


class InProcess:
    """A simulator in a thread of this process.

    Attributes:
        url: Where it listens.
        simulator: The simulator; while it serves, only its own thread may change it.
    """

    def __init__(self, url: str, simulator: Simulator, loop: asyncio.AbstractEventLoop) -> None:
        self.url = url
        self.simulator = simulator
        self._loop = loop

    def base_url(self, account: str, version: str = "v1") -> str:
        """The base URL of an account that needs no key."""
        return f"{self.url}/a/{quote(account, safe='')}/{version}"

    def books(self) -> dict[str, Any]:
        """See `Simulator.books`."""
        return self._on_its_thread(self.simulator.books)

    def change(self, account: str | None = None, **changes: Any) -> None:
        """See `Simulator.change`."""
        self._on_its_thread(lambda: self.simulator.change(account, **changes))

    def reset(self) -> None:
        """See `Simulator.reset`."""
        self._on_its_thread(self.simulator.reset)

    def _on_its_thread(self, call: Callable[[], Any]) -> Any:
        async def called() -> Any:
            return call()

        return asyncio.run_coroutine_threadsafe(called(), self._loop).result(START_S)


@contextmanager
def simulate(accounts: Iterable[Account], behaviour: Behaviour | None = None, port: int = 0) -> Generator[InProcess]:
    """Serve accounts in a thread until the block ends.

    Raises:
        OSError: the port is taken.
    """
    with in_thread(Simulator(accounts, behaviour), port) as running:
        yield running


@contextmanager
def in_thread(simulator: Simulator, port: int = 0) -> Generator[InProcess]:
    """Serve a simulator in a thread until the block ends.

    Raises:
        OSError: the port is taken.
    """
    running: Future[InProcess] = Future()
    stop: Future[Callable[[], object]] = Future()

    async def run() -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        stop.set_result(lambda: loop.call_soon_threadsafe(ended.set))
        try:
            async with listening(simulator.handle, port) as url:
                running.set_result(InProcess(url, simulator, loop))
                await ended.wait()
        except OSError as error:
            running.set_exception(error)

    thread = threading.Thread(target=asyncio.run, args=(run(),), name="llm-simulator", daemon=True)
    thread.start()
    found = running.result(START_S)
    try:
        yield found
    finally:
        stop.result()()
        thread.join(START_S)
