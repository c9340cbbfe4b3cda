"""A run of a runbook: its steps in order, each written down before it begins and when it has ended.

A run that goes on after a crash walks the same way again: steps that are written down as ended give what they gave, a
conditional takes the way it took, and the step that was cut off is done again only if it changes nothing, or if doing
it twice is as doing it once; the ledger of effects knows the others.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from blocks.errors import BadInput, TimedOut
from blocks.plain_text import cut, visible
from tasks.ops.runbook.checked import Ready
from tasks.ops.runbook.form import Conditional, Exec, Parallel, Step, SubRunbook, expression, template
from tasks.ops.runbook.frame import CATCHABLE, Came, Frame, Halt
from tasks.ops.runbook.given import bound
from tasks.ops.runbook.leaves import Leaves
from tasks.ops.runbook.record import RunbookRun, StepRecord
from tasks.ops.runbook.template import UNKNOWN, Refused, Unknown
from tasks.ops.runbook.typed import Kind

SHOWN_CHARS = 1000


@dataclass(frozen=True, kw_only=True)
class Walk:
    """Carries a runbook out.

    Attributes:
        ready: The runbook, checked.
        leaves: Does single steps.
    """

    ready: Ready
    leaves: Leaves

    async def whole(self) -> RunbookRun:
        """Carry all of it out, or what is left of it.

        Raises:
            Stopped: a switch stops it; the same run goes on later.
            Fenced: another process has taken it over.
            StoreFailed: it cannot be written down.
        """
        kept = self.leaves.kept
        run, book = kept.state, self.ready.runbook
        frame = Frame(
            book=book, prefix="", deadline=run.deadline, values=dict(run.parameters), kinds=_kinds_of(book.parameters)
        )
        await kept.run(status="running", why="", ended_at=None)
        try:
            await self.steps(book.steps, frame)
        except Halt as halt:
            why = visible(cut(f"{halt.place}: {halt.why}", SHOWN_CHARS))
            return await kept.run(status=halt.status, why=why, ended_at=datetime.now(UTC))
        left = visible(cut(self._left_out(), SHOWN_CHARS))
        return await kept.run(status="planned" if run.dry_run else "done", why=left, ended_at=datetime.now(UTC))

    def _left_out(self) -> str:
        """The steps that did not go well, where `on_failure` let the run go on: its end is none of all of it."""
        missing = [
            f"{place} was {one.status}{f' ({one.why})' if one.why else ''}"
            for place, one in self.leaves.kept.state.steps.items()
            if one.status in CATCHABLE
        ]
        return f"without a part of it: {'; '.join(missing)}" if missing else ""

    async def steps(self, steps: Iterable[Step], frame: Frame) -> None:
        """Do steps in order. Raises `Halt`."""
        for step in steps:
            try:
                await self._step(step, frame)
            except Halt as halt:
                if halt.status not in CATCHABLE or isinstance(step, Conditional):
                    raise
                await self._failed(step, frame, halt)

    async def _step(self, step: Step, frame: Frame) -> None:
        match step:
            case Conditional():
                await self._conditional(step, frame)
            case Parallel():
                await self._parallel(step, frame)
            case SubRunbook():
                await self._sub(step, frame)
            case _:
                await self._leaf(step, frame)

    async def _leaf(self, step: Step, frame: Frame) -> None:
        place, tries = f"{frame.prefix}{step.name}", 1
        found = self._found(place)
        if found is not None and found.status == "done":
            frame.learn(found.values, _kinds_in(step))
            return
        if found is not None and found.status in CATCHABLE:
            raise Halt(found.status, place, found.why)
        if found is not None:
            tries = found.tries
        while True:
            began = found.began_at if found is not None and found.tries == tries else datetime.now(UTC)
            came = await self._tried(step, frame, place, tries, began)
            if came.status != "failed" or tries > step.on_failure.retry:
                break
            tries += 1
            await asyncio.sleep(min(step.on_failure.wait_s, frame.left_s()))
        if came.status in ("done", "planned"):
            frame.learn(came.values, came.kinds)
            return
        raise Halt(came.status, place, came.why)

    async def _tried(self, step: Step, frame: Frame, place: str, tries: int, began: datetime) -> Came:
        """Try a step once, and write down what came of it."""
        self._in_time(frame, place)
        looks = isinstance(step, Exec) and step.read_only
        record = StepRecord(kind=step.kind, says=self._says(step, frame), read_only=looks, tries=tries, began_at=began)
        await self.leaves.kept.step(place, record)
        came = await self.leaves.do(step, frame, place, tries, began)
        again = came.status == "failed" and tries <= step.on_failure.retry
        known = came.values if came.status == "done" else {}
        told: dict[str, Any] = {
            "status": "running" if again else came.status,
            "tries": tries + again,
            "why": visible(cut(came.why, SHOWN_CHARS)),
            "values": known,
            "exit_code": came.exit_code,
            "said": came.said,
            "approvers": came.approvers,
            "ended_at": None if again else datetime.now(UTC),
        }
        await self.leaves.kept.step(place, record.model_copy(update=told))
        return came

    async def _conditional(self, step: Conditional, frame: Frame) -> None:
        place = f"{frame.prefix}{step.name}"
        found = self._found(place)
        holds = found.taken if found is not None and found.status == "done" else None
        if holds is None:
            self._in_time(frame, place)
            try:
                holds = expression(step.condition).evaluate(frame.values)
            except Unknown as unknown:
                await self._note(step, frame, "planned", why=f"only a real run knows {unknown}")
                await self._both(step, frame)
                return
            except (BadInput, TimedOut) as error:
                await self._note(step, frame, "failed", why=error.message)
                raise Halt("failed", place, error.message) from None
            await self._note(step, frame, "done", taken=holds)
        await self.steps(step.then if holds else step.otherwise, frame)

    async def _both(self, step: Conditional, frame: Frame) -> None:
        """Of a dry run: both ways."""
        one, other = frame.copied(), frame.copied()
        await self.steps(step.then, one)
        await self.steps(step.otherwise, other)
        frame.either(one, other)

    async def _parallel(self, step: Parallel, frame: Frame) -> None:
        place, room = f"{frame.prefix}{step.name}", asyncio.Semaphore(step.at_once)
        await self._begun(step, frame)
        frames = [frame.copied() for _ in step.branches]

        async def one(steps: Iterable[Step], own: Frame) -> None:
            async with room:
                await self.steps(steps, own)

        ways = zip(step.branches, frames, strict=True)
        # All end before any of what they raise is raised: an effect must not be cut off by what goes wrong beside it.
        ends = await asyncio.gather(*(one(steps, own) for steps, own in ways), return_exceptions=True)
        wrong = [end for end in ends if end is not None]
        for end in sorted(wrong, key=lambda one: isinstance(one, Halt)):
            if not isinstance(end, Halt) or end.status not in CATCHABLE:
                raise end
        if wrong:
            halts = [end for end in wrong if isinstance(end, Halt)]
            status = "refused" if all(halt.status == "refused" for halt in halts) else "failed"
            halt = Halt(status, place, "; ".join(f"{halt.place}: {halt.why}" for halt in halts))
            await self._note(step, frame, halt.status, why=halt.why)
            raise halt
        await self._note(step, frame, "planned" if self._dry else "done")
        frame.joined(frames)

    async def _sub(self, step: SubRunbook, frame: Frame) -> None:
        place = f"{frame.prefix}{step.name}"
        found = self._found(place)
        if found is not None and found.status in CATCHABLE:
            raise Halt(found.status, place, found.why)
        record = await self._begun(step, frame)
        try:
            child = await self._called(step.runbook, step.given, frame, f"{place}/", record.began_at)
        except Halt as halt:
            # The called one has a time of its own; that it is up is a failure to us, who may have some left.
            status = "failed" if halt.status == "timed_out" and frame.left_s() > 0 else halt.status
            why = f"{halt.place}: {halt.why}"
            if status in CATCHABLE:
                await self._note(step, frame, status, why=why)
            raise Halt(status, place, why) from None
        values = {mine: child.values[theirs] for mine, theirs in step.returns.items()}
        kinds: dict[str, Kind] = {mine: child.kinds[theirs] for mine, theirs in step.returns.items()}
        frame.learn(values, kinds)
        await self._note(step, frame, "planned" if self._dry else "done")

    async def _called(self, name: str, given: Mapping[str, Any], frame: Frame, prefix: str, began: datetime) -> Frame:
        """Run another runbook; what it knows at its end. Raises `Halt`."""
        book = self.ready.sources[name].runbook
        try:
            told = {key: _argument(value, frame) for key, value in given.items()}
            values = bound(book, told, None, self.leaves.hosts.inventory)
        except BadInput as error:
            raise Halt("refused", prefix.rstrip("/"), error.message) from None
        deadline = min(frame.deadline, began + timedelta(seconds=book.timeout_s))
        child = Frame(book=book, prefix=prefix, deadline=deadline, values=values, kinds=_kinds_of(book.parameters))
        await self.steps(book.steps, child)
        return child

    async def _failed(self, step: Step, frame: Frame, halt: Halt) -> None:
        """Do what `on_failure` says, and go on where it says so. Raises `Halt`."""
        wanted, place = step.on_failure, f"{frame.prefix}{step.name}"
        known = {"failure_step": step.name, "failure_why": visible(cut(halt.why, SHOWN_CHARS))}
        try:
            if wanted.goto is not None:
                steps = frame.book.compensation[wanted.goto]
                await self.steps(steps, frame.within(f"{place}/goto/", **known))
            elif wanted.runbook is not None:
                inner = frame.within(frame.prefix, **known)
                began = datetime.now(UTC)
                await self._called(wanted.runbook, wanted.given, inner, f"{place}/on-failure/", began)
        except Halt as other:
            status = halt.status if other.status in CATCHABLE else other.status
            told = f"{halt.why}; making up for it went wrong at {other.place}: {other.why}"
            raise Halt(status, place, told) from None
        if wanted.then == "stop":
            raise halt
        if isinstance(step, Exec):
            sure = [parse for parse in step.parse if parse.default is not None]
            kinds: dict[str, Kind] = {one.set: one.type for one in sure}
            frame.learn({one.set: one.cast(one.default) for one in sure}, kinds)

    async def _begun(self, step: Step, frame: Frame) -> StepRecord:
        """Write down that a step of steps has begun, unless it had."""
        place = f"{frame.prefix}{step.name}"
        self._in_time(frame, place)
        if (found := self._found(place)) is not None:
            return found
        return await self._note(step, frame, "running")

    async def _note(
        self, step: Step, frame: Frame, status: Any, *, why: str = "", taken: bool | None = None
    ) -> StepRecord:
        """Write down how a step of steps stands."""
        place, now = f"{frame.prefix}{step.name}", datetime.now(UTC)
        record = self._found(place) or StepRecord(kind=step.kind, says=self._says(step, frame), began_at=now)
        told: dict[str, Any] = {"status": status, "why": visible(cut(why, SHOWN_CHARS)), "taken": taken}
        ended = None if status == "running" else now
        return await self.leaves.kept.step(place, record.model_copy(update={**told, "ended_at": ended}))

    def _found(self, place: str) -> StepRecord | None:
        return self.leaves.kept.state.steps.get(place)

    @property
    def _dry(self) -> bool:
        return self.leaves.kept.state.dry_run

    def _in_time(self, frame: Frame, place: str) -> None:
        if frame.left_s() <= 0:
            raise Halt("timed_out", place, f"{frame.book.name} has its {frame.book.timeout_s:g} s behind it")

    def _says(self, step: Step, frame: Frame) -> str:
        """What a step does, for people."""
        if step.says:
            return step.says
        match step:
            case Exec():
                told = _readable(" ".join(step.argv), frame)
            case Conditional():
                told = f"if {step.condition}"
            case SubRunbook():
                told = f"runbook {step.runbook}"
            case _:
                told = step.kind.replace("_", " ")
        return visible(cut(told, SHOWN_CHARS))


def _readable(text: str, frame: Frame) -> str:
    """A text with the values in it, as far as they are known."""
    try:
        return frame.text(text)
    except (Unknown, Refused):
        return text


def _argument(value: Any, frame: Frame) -> Any:
    """What a runbook is told: a value as it is where it stands alone, else a text with values. Raises `Refused`."""
    if not isinstance(value, str):
        return value
    found = template(value)
    if len(found.parts) == 1 and found.slots and not found.slots[0].path:
        return frame.values[found.slots[0].name]
    try:
        return found.render(frame.values)
    except Unknown:
        return UNKNOWN


def _kinds_of(parameters: Mapping[str, Any]) -> dict[str, Kind]:
    return {name: parameter.type for name, parameter in parameters.items()}


def _kinds_in(step: Step) -> dict[str, Kind]:
    parses: Iterable[Any] = getattr(step, "parse", ())
    return {parse.set: parse.type for parse in parses}
