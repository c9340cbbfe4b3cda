"""The steps that do something: commands, waits, copies, messages, questions."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from blocks.action import Touched
from blocks.errors import BadInput, EngineUnavailable, NotFound, TimedOut
from blocks.hosts import CommandResult, Host, Inventory, open_host
from blocks.plain_text import cut, visible
from blocks.progress import in_thread
from tasks.ops.deed import Deed, Lost, Outcome
from tasks.ops.on_host import ran
from tasks.ops.performer import Performer
from tasks.ops.runbook.checked import VALUE
from tasks.ops.runbook.form import Approve, Copy, Exec, Notify, Step, WaitUntil, expression, template
from tasks.ops.runbook.frame import Came, Frame
from tasks.ops.runbook.kept import Kept
from tasks.ops.runbook.metric import Query, rendered
from tasks.ops.runbook.parse import Parse, Unparsed, parsed
from tasks.ops.runbook.template import UNKNOWN, Refused, Unknown
from tasks.ops.runbook.typed import Kind, lies_under

SAID_CHARS = 2000
LOOK_S = 30
FILE_BYTES = 16_000_000
VALUES_CHARS = 200_000
"""Of all variables that one answer gives: the manifest has them, and is written with each step."""


class Hosts:
    """The hosts of a run, each opened when it is first needed."""

    def __init__(self, inventory: Inventory, stack: AsyncExitStack) -> None:
        self.inventory, self._stack = inventory, stack
        self._open: dict[str, Host] = {}
        self._lock = asyncio.Lock()

    async def open(self, name: str) -> Host:
        """A host. Raises `HostUnreachable`."""
        async with self._lock:
            if name not in self._open:
                self._open[name] = await self._stack.enter_async_context(open_host(self.inventory.named[name]))
            return self._open[name]

    def forget(self, name: str) -> None:
        """Open it anew next time: its connection broke."""
        self._open.pop(name, None)


@asynccontextmanager
async def hosts_of(inventory: Inventory) -> AsyncGenerator[Hosts]:
    """Hosts, closed with the block."""
    async with AsyncExitStack() as stack:
        yield Hosts(inventory, stack)


@dataclass(frozen=True, kw_only=True)
class Leaves:
    """Does single steps.

    Attributes:
        performer: Does their deeds.
        hosts: Where.
        kept: The run's manifest.
        query: Asks Prometheus.
    """

    performer: Performer
    hosts: Hosts
    kept: Kept
    query: Query

    async def do(self, step: Step, frame: Frame, place: str, tries: int, began: datetime) -> Came:
        """Do a step once.

        Raises:
            Stopped: a switch stops it.
            Fenced, StoreFailed: the run is another's by now, or cannot be written down.
        """
        deed = place if tries == 1 else f"{place}/try-{tries}"
        try:
            match step:
                case Exec():
                    return await self._exec(step, frame, deed)
                case WaitUntil():
                    return await self._wait(step, frame, place, began)
                case Copy():
                    return await self._copy(step, frame, deed)
                case Notify():
                    return await self._notify(step, frame, deed)
                case Approve():
                    return await self._approve(step, frame, deed)
                case _:
                    raise AssertionError(step.kind)
        except Refused as error:
            return Came(status="refused", why=error.message)
        except Unknown as unknown:
            return Came(status="planned", why=f"with {unknown}, which only a real run knows", **_unknown(step))
        except (BadInput, TimedOut) as error:
            return Came(status="failed", why=error.message)

    async def _exec(self, step: Exec, frame: Frame, name: str) -> Came:
        host = frame.text(step.host or frame.book.host)
        argv, stdin = frame.argv(step.argv, step), frame.text(step.stdin)
        arguments = {"host": host, "argv": list(argv), "become": step.become} | ({"stdin": stdin} if stdin else {})
        deed = Deed(
            name=name,
            tool="run_on_host",
            arguments=arguments,
            says=step.says or f"run {' '.join(argv)} on {host}",
            risk=step.risk,
            read_only=step.read_only,
            reversible=step.reversible,
            repeatable=step.repeatable,
            outside=True,
            touched=Touched(argv=argv),
            consent=step.consent,
        )
        safe = step.read_only or step.repeatable

        async def perform() -> Any:
            done = await self._ran(host, argv, stdin.encode(), min(step.timeout_s, frame.left_s()), step.become, safe)
            return _answer(done, step.parse, step.ok_codes)

        outcome = await self._performer(frame).do(deed, perform)
        return _came(outcome, step.parse, step.ok_codes)

    async def _wait(self, step: WaitUntil, frame: Frame, place: str, began: datetime) -> Came:
        if self.performer.dry_run:
            return Came(status="planned", why=f"until {step.condition}", **_unknown(step))
        deadline = min(began + timedelta(seconds=step.timeout_s), frame.deadline)
        last = "it was never looked"
        while (left_s := (deadline - datetime.now(UTC)).total_seconds()) > 0:
            came = await self._look(step, frame, place, left_s)
            if came.status in ("refused", "in_doubt"):
                return came
            last = came.why
            if came.status == "done":
                held = expression(step.condition).evaluate({**frame.values, **came.values})
                if held:
                    return came if step.metric is None else replace(came, values={}, kinds={})
                last = f"{step.condition} did not hold; {_told(came.values)}"
            await asyncio.sleep(min(step.every_s, max(0.0, (deadline - datetime.now(UTC)).total_seconds())))
        return Came(status="failed", why=f"time is up after {step.timeout_s:g} s: {last}")

    async def _look(self, step: WaitUntil, frame: Frame, place: str, left_s: float) -> Came:
        if step.argv is None:
            await self.performer.check_stopped()
            try:
                async with asyncio.timeout(left_s):
                    value = await self.query(rendered(template(step.metric or ""), frame.values))
            except (EngineUnavailable, TimeoutError) as error:
                return Came(status="failed", why=f"Prometheus does not answer: {error}")
            except BadInput as error:
                return Came(status="refused", why=error.message)
            known = value is not None
            return Came(
                status="done" if known else "failed", why="" if known else "there is no sample", values={VALUE: value}
            )
        host, argv = frame.text(step.host or frame.book.host), frame.argv(step.argv, step)
        deed = Deed(
            name=f"{place}/look",
            tool="run_on_host",
            arguments={"host": host, "argv": list(argv), "become": step.become},
            says=step.says or f"look with {' '.join(argv)} on {host}",
            risk="low",
            read_only=True,
            touched=Touched(argv=argv),
        )

        async def perform() -> Any:
            done = await self._ran(host, argv, b"", min(step.command_s, left_s), step.become, True)
            return _answer(done, step.parse, step.ok_codes)

        return _came(await self._performer(frame).do(deed, perform), step.parse, step.ok_codes)

    async def _copy(self, step: Copy, frame: Frame, name: str) -> Came:
        host, what = frame.text(step.host or frame.book.host), step.what
        to = template(what.to).word(frame.values, frame.kinds, allow_option=False, allow_path=False)
        root = _root(what.to)
        if not lies_under(to, root) or to.endswith("/"):
            raise Refused(f"{to!r:.200} is no plain path under {root}", fix="correct the step", field="to")
        content = await self._content(step, frame)
        deed = Deed(
            name=name,
            tool="write_file",
            arguments={"host": host, "path": to, "sha256": sha256(content).hexdigest(), "mode": what.mode},
            says=step.says or f"write {to} on {host}",
            risk=step.risk,
            reversible=step.reversible,
            repeatable=True,
            outside=True,
            touched=Touched(writes=(to,), size_bytes=len(content)),
            consent=step.consent,
        )

        async def perform() -> Any:
            await self.kept.check()
            on = await self.hosts.open(host)
            if template(what.to).slots:
                await _check_real(on, to, root)
            await on.write_file(to, content, mode=int(what.mode, 8))
            return {"exit_code": 0, "stdout": f"{len(content)} bytes", "stderr": ""}

        return _came(await self._performer(frame).do(deed, perform), (), (0,))

    async def _content(self, step: Copy, frame: Frame) -> bytes:
        if step.what.file is None:
            return frame.text(step.what.content or "").encode()
        folder = Path(self.kept.state.path).parent
        return await in_thread(_beside, folder, step.what.file)

    async def _notify(self, step: Notify, frame: Frame, name: str) -> Came:
        subject, body = visible(frame.text(step.message.subject)), visible(frame.text(step.message.body))
        subject = " ".join(subject.split())
        deed = Deed(
            name=name,
            tool="notify",
            arguments={"subject": subject, "body": body},
            says=step.says or f"tell the operators: {subject}",
            risk="low",
            outside=True,
        )

        async def perform() -> Any:
            await self.kept.check()
            posted = await self.performer.tell(subject, body)
            return {"exit_code": 0, "stdout": posted.told if posted else "", "stderr": ""}

        came = _came(await self._performer(frame).do(deed, perform), (), (0,))
        if came.status == "in_doubt":  # nobody need look at that: it is not told twice, and nothing waits for it
            return replace(came, status="done", why="it may not have been told: the process died as it was sent")
        return came

    async def _approve(self, step: Approve, frame: Frame, name: str) -> Came:
        question = frame.text(step.question)
        deed = Deed(
            name=name,
            tool="approve_step",
            arguments={"runbook": frame.book.name, "step": step.name, "question": question},
            says=visible(cut(question, 500)),
            risk=step.risk,
            reversible=True,
            repeatable=True,
            consent="two" if step.persons == 2 else "one",
        )

        async def perform() -> Any:
            return {"exit_code": 0, "stdout": "agreed", "stderr": ""}

        performer = self._performer(frame)
        if step.timeout_s is not None:
            performer = replace(performer, approval_s=min(performer.approval_s, step.timeout_s))
        return _came(await performer.do(deed, perform), (), (0,))

    def _performer(self, frame: Frame) -> Performer:
        """The performer, whose questions stand no longer than there is time."""
        return replace(self.performer, approval_s=max(0.001, min(self.performer.approval_s, frame.left_s())))

    async def _ran(
        self, name: str, argv: tuple[str, ...], stdin: bytes, timeout_s: float, become: bool, safe: bool
    ) -> CommandResult:
        """Run a command; where nobody knows whether one with an effect ended, it is in doubt. Raises `Lost`."""
        await self.kept.check()
        try:
            host = await self.hosts.open(name)
            return await ran(host, argv, is_safe=safe, stdin=stdin, timeout_s=max(0.1, timeout_s), become=become)
        except (EngineUnavailable, Lost):
            self.hosts.forget(name)
            raise


def _answer(done: CommandResult, parses: tuple[Parse, ...], ok_codes: tuple[int, ...]) -> dict[str, Any]:
    """What is kept of a command: its code, the end of what it wrote, and the variables that all of it gives."""
    kept: dict[str, Any] = {
        "exit_code": done.exit_code,
        "timed_out": done.timed_out,
        "stdout": done.stdout[-SAID_CHARS:],
        "stderr": done.stderr[-SAID_CHARS:],
        "values": {},
        "unparsed": "",
    }
    if done.timed_out or done.exit_code not in ok_codes:
        return kept
    try:
        values = parsed(parses, done.stdout, done.stderr, done.exit_code)
        if len(json.dumps(values)) > VALUES_CHARS:
            raise Unparsed(f"its variables have more than {VALUES_CHARS} characters")
        kept["values"] = values
    except Unparsed as error:
        kept["unparsed"] = str(error)
    return kept


def _came(outcome: Outcome, parses: tuple[Parse, ...], ok_codes: tuple[int, ...]) -> Came:
    kinds: dict[str, Kind] = {parse.set: parse.type for parse in parses}
    if outcome.status == "planned":
        return Came(status="planned", why=outcome.why, values=dict.fromkeys(kinds, UNKNOWN), kinds=kinds)
    if outcome.status != "done":
        told = outcome.why or (outcome.error.message if outcome.error else "")
        return Came(status=outcome.status, why=told, approvers=outcome.approvers)
    # One that was in doubt, and a person says that it happened, gave whatever that person says.
    answer: dict[str, Any] = outcome.result if isinstance(outcome.result, dict) else {}
    code, values = answer.get("exit_code", 0), answer.get("values", {})
    said = (answer.get("stderr") or "").strip() or (answer.get("stdout") or "").strip()
    facts: dict[str, Any] = {"exit_code": code, "said": said[-500:], "approvers": outcome.approvers}
    if answer.get("timed_out"):
        return Came(status="failed", why="it was killed for the time it took", **facts)
    if code not in ok_codes:
        return Came(status="failed", why=f"it ended with {code}{': ' if said else ''}{said[-300:]}", **facts)
    missing = [name for name in kinds if name not in values]
    if answer.get("unparsed") or missing:
        told = answer.get("unparsed") or f"{', '.join(missing)} is not known"
        return Came(status="failed", why=f"it was done, but {told}", **facts)
    return Came(status="done", values=values, kinds=kinds, **facts)


def _unknown(step: Step) -> dict[str, Any]:
    parses = step.parse if isinstance(step, Exec | WaitUntil) else ()
    kinds: dict[str, Kind] = {parse.set: parse.type for parse in parses}
    return {"values": dict.fromkeys(kinds, UNKNOWN), "kinds": kinds}


def _told(values: dict[str, Any]) -> str:
    return ", ".join(f"{name} was {cut(str(value), 80)}" for name, value in values.items())


def _root(to: str) -> str:
    """The folder that stands before the first value of a path, or the path's own."""
    first = template(to).parts[0]
    literal = first if isinstance(first, str) else "/"
    return literal.rpartition("/")[0] or "/"


async def _check_real(host: Host, to: str, root: str) -> None:
    """Whether a path lies under a folder with all links followed, as the host sees it."""
    folder = str(PurePosixPath(to).parent)
    done = (await host.run(["realpath", "-m", "-z", "--", folder, root], timeout_s=LOOK_S)).checked()
    real_folder, real_root, *_ = done.stdout.split("\x00")
    if not lies_under(real_folder, real_root):
        raise Refused(f"{to!r:.200} leads out of {root} over a link", fix="look at the links on the host", field="to")


def _beside(folder: Path, name: str) -> bytes:
    """A file beside the runbook. Raises `NotFound`, `BadInput`."""
    real, path = folder.resolve(), (folder / name).resolve()
    if not path.is_relative_to(real) or not path.is_file():
        raise NotFound(f"there is no file {name} beside the runbook", fix="put it there", field="file")
    with path.open("rb") as stream:
        content = stream.read(FILE_BYTES + 1)
    if len(content) > FILE_BYTES:
        raise BadInput(f"{name} has more than {FILE_BYTES} bytes", fix="fetch it by a command", field="file")
    return content
