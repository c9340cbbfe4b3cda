"""Which worker process has a run in hand, written on the run itself, and what becomes of the runs of dead ones.

A claim is the message of the pending states that a worker proposes before it starts a run: made in one
step with the state, never lost, and of the present attempt whatever came before. (A label would be a
write more on the way to the first line, one that SQLite refuses and Prefect repeats after 2 s whenever
another write comes between its read and its write: measured in one start of four.)
"""

import asyncio
import fcntl
import os
import signal
import socket
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import UUID

from prefect.client.orchestration import PrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    WorkPoolFilter,
    WorkPoolFilterName,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.exceptions import Abort, ObjectNotFound, Pause
from prefect.states import AwaitingRetry, Cancelled, Crashed
from prefect.utilities.engine import propose_state

from deployments.warm import kin

PREFIX = "warm worker "

UNFINISHED = (StateType.PENDING, StateType.RUNNING, StateType.CANCELLING, StateType.PAUSED)
PAGE = 200
POLL_S = 0.05


@dataclass(frozen=True)
class Claim:
    """A worker process that will never have a twin.

    Attributes:
        host: Name and id of the machine, its network card (clones), and its process namespace (containers).
        process: Process id, start time in clock ticks since boot, and id of that boot.
    """

    host: str
    process: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.host} {self.process}"


@cache
def mine() -> Claim:
    """The claim of this process."""
    return Claim(_host(), _process(os.getpid()))


async def claim_of(client: PrefectClient, run: FlowRun) -> Claim | None:
    """Which worker has the run in hand; None when no warm worker has."""
    states = [run.state] if run.state and run.state.is_pending() else await client.read_flow_run_states(run.id)
    pending = [state for state in states if state.is_pending()]
    text = max(pending, key=lambda state: state.timestamp).message if pending else None
    if not text or not text.startswith(PREFIX):
        return None
    host, _, process = text.removeprefix(PREFIX).rpartition(" ")
    return Claim(host, process)


async def is_mine(client: PrefectClient, run_id: UUID) -> bool:
    """Whether the run is at work, as an attempt that this process claimed."""
    run = await client.read_flow_run(run_id)
    return run.state is not None and run.state.type in UNFINISHED and await claim_of(client, run) == mine()


async def reclaim(client: PrefectClient, pool: str, in_hand: Callable[[UUID], bool]) -> list[tuple[FlowRun, State]]:
    """Report the runs of this pool whose worker process on this host is gone.

    A run that had begun is crashed; one that had not starts again; one that was to be cancelled is.
    Also those that this very worker claims and does not have: their end could not be reported.

    Args:
        client: To the server.
        pool: Work pool.
        in_hand: Whether this worker is busy with a run.

    Returns:
        The runs, each with its new state.
    """
    reported: list[tuple[FlowRun, State]] = []
    async with _alone(pool):
        for run in await _unfinished(client, pool):
            if await _lost(client, run, in_hand) and (state := await _report(client, run)):
                reported.append((run, state))
    return reported


async def _lost(client: PrefectClient, run: FlowRun, in_hand: Callable[[UUID], bool]) -> bool:
    claim = None if in_hand(run.id) else await claim_of(client, run)
    if claim is None or claim.host != mine().host:
        return False
    return not in_hand(run.id) if claim == mine() else not _alive(claim.process)


async def _report(client: PrefectClient, run: FlowRun) -> State | None:
    """End what is left of the run, then say what became of it; None when someone else has by now."""
    deadline = time.monotonic() + kin.END_S
    try:
        while left := await asyncio.to_thread(kin.kin, [str(run.id)]):
            if time.monotonic() > deadline or not await _unchanged(client, run):
                break
            kin.send(left, signal.SIGKILL)
            await asyncio.sleep(POLL_S)
        if run.state is None or not await _unchanged(client, run):
            return None
        proposed = _outcome(run.state)
        return await propose_state(client, proposed, flow_run_id=run.id) if proposed else None
    except (Abort, Pause, ObjectNotFound):
        return None


async def _unchanged(client: PrefectClient, run: FlowRun) -> bool:
    """Whether the run is where it was: what is left of it then is no other attempt's."""
    now = await client.read_flow_run(run.id)
    return now.state is not None and run.state is not None and now.state.id == run.state.id


def _outcome(state: State) -> State | None:
    if state.is_pending():
        return AwaitingRetry(message="Its worker ended before it began; it starts again.")
    if state.is_cancelling():
        return Cancelled(message="Its worker ended while it was being cancelled.")
    if state.is_paused() and state.state_details.pause_reschedule:
        return None  # it has no process while it waits
    return Crashed(message="Its worker ended, and the process of the run with it.")


async def _unfinished(client: PrefectClient, pool: str) -> list[FlowRun]:
    runs: list[FlowRun] = []
    while len(runs) % PAGE == 0:
        page = await client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(UNFINISHED))),
            ),
            work_pool_filter=WorkPoolFilter(name=WorkPoolFilterName(any_=[pool])),
            limit=PAGE,
            offset=len(runs),
        )
        if not page:
            break
        runs += page
    return runs


@asynccontextmanager
async def _alone(pool: str) -> AsyncGenerator[None]:
    """Two workers of a pool on one host must not report the same run in turns."""
    path = Path(tempfile.gettempdir()) / f"c500-warm-{os.getuid()}-{pool.replace('/', '-')}.lock"
    # Anyone may write to this folder: what the name leads to elsewhere is not ours to open.
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600), "r+") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.1)
        yield


def _host() -> str:
    machine = Path("/etc/machine-id")
    number = machine.read_text().strip()[:8] if machine.exists() else ""
    return f"{socket.gethostname()}/{number}/{_card()}/{os.readlink('/proc/self/ns/pid')}"  # noqa: PTH115


def _card() -> str:
    """Address of the first network card, which tells a machine from its clones; empty when it has none."""
    addresses = Path("/sys/class/net").glob("*/address")
    return next((card.read_text().strip() for card in sorted(addresses) if (card.parent / "device").exists()), "")


def _process(pid: int) -> str:
    seen = kin.look(pid)
    return f"{pid}:{seen.started_ticks if seen else 0}:{_boot()}"


def _alive(process: str) -> bool:
    seen = kin.look(int(process.partition(":")[0]))
    return seen is not None and not seen.dead and process == f"{seen.pid}:{seen.started_ticks}:{_boot()}"


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
