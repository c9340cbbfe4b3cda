"""The vLLM server of this machine: whether it is there, starting it once, stopping it."""

import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from threading import Event
from typing import Any

from blocks.errors import C500Error, Conflict, Stopped, TimedOut, Unsupported
from blocks.inference.process import OFFLINE
from blocks.language.local_model import environment, gpu_share
from blocks.language.vllm_faults import error_for
from blocks.language.vllm_supervisor import ask_use
from blocks.models.locate import models_dir
from blocks.models.located import LocatedModel
from blocks.settings import settings

POLL_S = 0.2
ASK_TIMEOUT_S = 5.0
STOP_TIMEOUT_S = 30.0
LINES_READ = 200

OURS = ("VLLM_PORT", "VLLM_START_TIMEOUT_S", "VLLM_IDLE_STOP_S")
"""Our settings, which vLLM would take for its own."""

FAILURE = re.compile(r"\w*(Error|Exception)\b: ")
"""A line of the log that says what went wrong; others name settings without complaining about them."""


class State(Enum):
    """What is at the port."""

    ABSENT = "nothing"
    STARTING = "a server that is not ready"
    READY = "a server of our model"
    OTHER = "something else"


def vllm_command() -> str | None:
    """The command `vllm`, None when it is not installed."""
    return shutil.which("vllm") or shutil.which("vllm", path=str(Path(sys.executable).parent))


def look(url: str, model: str) -> tuple[State, str]:
    """What is at the address, and in words what else is there."""
    import httpx

    try:
        with httpx.Client(base_url=url, timeout=ASK_TIMEOUT_S, trust_env=False) as client:
            health = client.get("/health").status_code
            if health == 503:
                return State.STARTING, ""
            listed: Any = client.get("/v1/models").json() if health == 200 else {}
        served = [str(card["id"]) for card in listed["data"]]
    except httpx.ConnectError:
        return State.ABSENT, ""
    except httpx.TimeoutException:
        return State.STARTING, ""
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return State.OTHER, "something that is no vLLM server"
    return (State.READY, "") if model in served else (State.OTHER, f"a server of {', '.join(served) or 'no model'}")


@dataclass
class VllmProcess:
    """One server for all processes of this machine; the first that needs it starts it.

    Attributes:
        model: What it serves.
        supervisor: The process that watches it, when this one started it.
    """

    model: LocatedModel
    supervisor: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{settings().vllm_port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return settings().log_dir.expanduser() / f"vllm-{settings().vllm_port}.log"

    def ensure(self, stopped: Event) -> None:
        """Return when the server is ready; start it when there is none.

        Args:
            stopped: Ends the waiting, not the server.

        Raises:
            Conflict: something else is at the port.
            Unsupported: there is no command `vllm`.
            EngineFailed, OutOfMemory: the server died.
            TimedOut: it was not ready within VLLM_START_TIMEOUT_S.
            Stopped: the waiting was ended.
        """
        deadline_s = time.monotonic() + settings().vllm_start_timeout_s
        started = False
        while (found := look(self.url, self.model.name))[0] is not State.READY:
            if stopped.is_set():
                raise Stopped("the vLLM server is not wanted any more", fix="start the job again")
            if (lock := _locked(lock_path())) is not None:
                with os.fdopen(lock):
                    if started:
                        raise self._died()
                    if found[0] is State.OTHER:
                        raise self._conflict(found[1])
                    if found[0] is State.ABSENT:
                        self._start(lock)
                        started = True
            elif found[0] is State.OTHER and not started:
                raise self._conflict(found[1])
            if time.monotonic() > deadline_s:
                raise self._late()
            stopped.wait(POLL_S)

    def stop(self) -> None:
        """End the server if this process started it, and wait until it is gone."""
        supervisor, self.supervisor = self.supervisor, None
        if supervisor is None or supervisor.poll() is not None:
            return
        supervisor.terminate()
        with suppress(subprocess.TimeoutExpired):
            supervisor.wait(STOP_TIMEOUT_S)
        supervisor.kill()
        supervisor.wait()

    def command(self) -> list[str]:
        """The command line of the server."""
        chosen = settings()
        if (vllm := vllm_command()) is None:
            raise Unsupported("the command vllm is not installed", fix="pip install 'c500[gpu]'")
        options = {
            "--host": "127.0.0.1",
            "--port": chosen.vllm_port,
            "--max-model-len": chosen.llm_max_model_len,
            "--gpu-memory-utilization": gpu_share(),
            "--seed": 0,
            "--generation-config": "vllm",  # not the model's own, which may bring a repetition penalty
            "--served-model-name": self.model.name,
        }
        if chosen.llm_quantization:
            options["--quantization"] = chosen.llm_quantization
        return [vllm, "serve", str(self.model.folder), *(str(part) for pair in options.items() for part in pair)]

    def _start(self, lock: int) -> None:
        """Start the supervisor, which keeps the lock."""
        chosen = settings()
        job = {
            "command": self.command(),
            "url": self.url,
            "start_timeout_s": chosen.vllm_start_timeout_s,
            "idle_stop_s": chosen.vllm_idle_stop_s,
        }
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self.supervisor = subprocess.Popen(
                [sys.executable, "-m", "blocks.language.vllm_supervisor", json.dumps(job)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={name: value for name, value in os.environ.items() if name not in OURS} | OFFLINE | environment(),
                start_new_session=True,
                pass_fds=(lock,),
            )
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(self.supervisor.pid).encode(), 0)

    def _died(self) -> C500Error:
        lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LINES_READ:]
        failures = [line for line in lines if FAILURE.search(line)]
        error = error_for("the vLLM server ended while starting", "\n".join(failures or lines))
        error.details.update(log=str(self.log), printed=lines[-20:])
        return error

    def _conflict(self, what: str) -> Conflict:
        return Conflict(
            f"{what} is at {self.url}, where {self.model.name} is to be served",
            fix="stop it, set VLLM_PORT to a free port, or set LLM_ENHANCE_MODEL and LLM_SUM_MODEL to one model",
        )

    def _late(self) -> TimedOut:
        self.stop()
        return TimedOut(
            f"the vLLM server was not ready within {settings().vllm_start_timeout_s:g} s",
            fix=f"look into {self.log}, or raise VLLM_START_TIMEOUT_S",
        )


def lock_path() -> Path:
    """The file that the supervisor of the server keeps locked, with its process id in it."""
    folder = models_dir() / ".run"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"vllm-{settings().vllm_port}.lock"


def stop_idle_server() -> bool:
    """Stop the server of this machine when it has nothing to do, so that another model has room.

    Returns:
        Whether it was stopped; False when there is none, it is at work, or somebody else started it.
    """
    path = lock_path()
    if (lock := _locked(path)) is not None:
        os.close(lock)
        return False
    use = ask_use(f"http://127.0.0.1:{settings().vllm_port}")
    if use is None or use.in_hand:
        return False
    with suppress(ProcessLookupError):
        os.kill(int(path.read_text()), signal.SIGTERM)
    deadline_s = time.monotonic() + STOP_TIMEOUT_S
    while (lock := _locked(path)) is None:
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    os.close(lock)
    return True


def _locked(path: Path) -> int | None:
    """The file, locked; None when another process holds the lock."""
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
