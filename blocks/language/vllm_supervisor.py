"""Watches a vLLM server: stops it when nobody used it for a while, and ends with it.

Started by `blocks.language.vllm_server` as a process of its own, which outlives the one that started
it; it inherits the lock file, which stays locked as long as it lives.
"""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

END_GRACE_S = 10.0
"""Between asking the server to end and killing it."""

LONGEST_POLL_S = 5.0
ASK_TIMEOUT_S = 5.0
PR_SET_PDEATHSIG = 1

IN_HAND = ("vllm:num_requests_running", "vllm:num_requests_waiting")
FINISHED = "vllm:request_success_total"


@dataclass(frozen=True)
class Use:
    """What the server says it has to do."""

    in_hand: float
    finished: float


@dataclass
class IdleClock:
    """Tells when a server has been without work for too long; times are those of a monotonic clock.

    Attributes:
        idle_stop_s: Seconds without work that are too long; 0 for never.
        until_s: When it is too long, unless there is work before.
    """

    idle_stop_s: float
    until_s: float
    _seen: Use | None = None

    def note(self, now_s: float, use: Use | None) -> None:
        """Take in what the server says; None when it does not answer."""
        if use is None:
            return
        if self._seen is None or use.in_hand or use.finished != self._seen.finished:
            self.until_s = now_s + self.idle_stop_s if self.idle_stop_s else float("inf")
        self._seen = use

    def over(self, now_s: float) -> bool:
        """Whether it is time to stop."""
        return now_s >= self.until_s


def use_in(metrics: str) -> Use:
    """What the text of `/metrics` (Prometheus) says, summed over models and reasons."""
    sums = dict.fromkeys((*IN_HAND, FINISHED), 0.0)
    for line in metrics.splitlines():
        name = line.partition("{")[0].partition(" ")[0]
        if name in sums:
            sums[name] += float(line.rpartition(" ")[2])
    return Use(in_hand=sum(sums[name] for name in IN_HAND), finished=sums[FINISHED])


def watch(server: "subprocess.Popen[bytes]", url: str, start_timeout_s: float, idle_stop_s: float) -> None:
    """Return when the server has ended or is to end.

    A server that is never stopped for being idle ends with the process that started this one.
    """
    starter = os.getppid()
    clock = IdleClock(idle_stop_s, until_s=time.monotonic() + start_timeout_s + idle_stop_s)
    poll_s = min(LONGEST_POLL_S, idle_stop_s / 4) if idle_stop_s else 0.5
    while not clock.over(time.monotonic()) and (idle_stop_s or os.getppid() == starter):
        with suppress(subprocess.TimeoutExpired):
            server.wait(poll_s)
            return
        clock.note(time.monotonic(), ask_use(url))


def ask_use(url: str) -> Use | None:
    """What the server at an address has to do, None when it does not say."""
    import httpx

    try:
        response = httpx.get(f"{url}/metrics", timeout=ASK_TIMEOUT_S, trust_env=False)
        return use_in(response.text) if response.status_code == 200 else None
    except (httpx.HTTPError, ValueError):
        return None


def end(server: "subprocess.Popen[bytes]") -> None:
    """End the server and all it started, gently at first."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        server.wait(END_GRACE_S)
    with suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    server.wait()


def _end_with_supervisor() -> None:
    """In the server's process: it gets SIGTERM when the supervisor is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


def main() -> None:
    """Start and watch the server that the first argument describes, as JSON."""
    job: dict[str, Any] = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, _leave)
    server = subprocess.Popen(
        job["command"],
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_end_with_supervisor,
    )
    try:
        watch(server, job["url"], job["start_timeout_s"], job["idle_stop_s"])
    finally:
        end(server)


if __name__ == "__main__":
    main()
