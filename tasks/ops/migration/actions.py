"""What phases do: a command, SQL, a backfill or an agent, each as a deed that crashes do not double."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from blocks.action import Risk, Touched, hash_of
from blocks.errors import C500Error, EngineFailed
from blocks.manifests import Fenced
from blocks.progress import in_thread
from tasks.ops.deed import Consent, Deed, Outcome
from tasks.ops.migration.kinds import Action, AgentWork, Backfill, Command, CommandCheck, Sql
from tasks.ops.migration.places import Places
from tasks.ops.migration.plan import Phase, variable_of
from tasks.ops.migration.states import MigrationState
from tasks.ops.migration.target import Entry, apply, fill_part, prepare
from tasks.ops.on_host import SHOWN_CHARS, ran
from tasks.ops.performer import Performer

COMMAND_FIELDS = {"host", "argv", "env", "secrets", "database", "cwd", "become"}
"""What a person sees of a command, and approves."""


class LostHold(Exception):
    """The migration is in other hands."""

    def __init__(self, fenced: Fenced) -> None:
        super().__init__(fenced.message)
        self.fenced = fenced


@dataclass(frozen=True, kw_only=True)
class Doing:
    """Everything an action needs to know.

    Attributes:
        run: The migration's, in all its attempts.
        migration: Its id.
        phase: Of which phase.
        what: `do` or `undo`.
        attempt: The number of this attempt.
        says: What it does, for people.
        tokens: The fencing tokens of what it holds, by resource.
        risk: How much harm it may do.
        consent: Who must agree.
        reversible: Whether it can be taken back.
        check: Makes sure that nothing was lost meanwhile, between parts of long work. Raises `Fenced`.
        begins: Writes down that it is allowed, and runs from now on. Raises `Fenced`, `StoreFailed`.
    """

    run: str
    migration: str
    phase: str
    what: str
    attempt: int
    says: str
    tokens: dict[str, int]
    risk: Risk
    consent: Consent
    reversible: bool
    check: Callable[[], None]
    begins: Callable[[], Awaitable[None]]

    @property
    def name(self) -> str:
        """Of the deed."""
        return f"{self.phase}/{self.what}/{self.attempt}"

    def entry(self, action: Action) -> Entry:
        """In a database's ledger: the same for the same work, however often it is tried."""
        work = action.model_dump(mode="json", include={"script", "batch", "key", "start", "transaction"})
        return Entry(
            run=self.run, name=f"{self.phase}/{self.what}/{hash_of(action.kind, work)[:16]}", tokens=self.tokens
        )

    def deed(self, tool: str, arguments: dict[str, Any], *, repeatable: bool, touched: Touched) -> Deed:
        """The deed of the action. Tokens are no arguments: they are others in each attempt."""
        return Deed(
            name=self.name,
            tool=tool,
            arguments=arguments,
            says=f"{self.migration}: {self.phase}: {self.says or self.what}",
            risk=self.risk,
            reversible=self.reversible,
            repeatable=repeatable,
            outside=True,
            touched=touched,
            consent=self.consent,
        )


def doing_of(state: MigrationState, phase: Phase, attempt: int) -> Doing:
    """A phase of a migration that is not in our hands: without tokens."""
    return Doing(
        run=state.run_id,
        migration=state.migration,
        phase=phase.name,
        what="do",
        attempt=attempt,
        says=phase.says,
        tokens={},
        risk=phase.risk,
        consent=phase.consent,
        reversible=phase.compensation != "impossible",
        check=lambda: None,
        begins=_unwritten,
    )


async def _unwritten() -> None:
    """Of a migration that is not in our hands nothing is written."""


async def act(performer: Performer, places: Places, action: Action, doing: Doing) -> Outcome:
    """Do what a phase, or its compensation, is to do.

    Returns:
        What came of it; `failed` also where a command ended badly.

    Raises:
        Fenced: the migration, or a resource that it needs, is in other hands.
        Stopped: a switch stops it.
    """
    try:
        if isinstance(action, Command):
            return await _command(performer, places, action, doing)
        if isinstance(action, AgentWork):
            return await _agent(performer, places, action, doing)
        return await _in_database(performer, places, action, doing)
    except LostHold as error:
        raise error.fenced from error


def environment(doing: Doing) -> dict[str, str]:
    """What commands learn of the migration: names, and the tokens that they must show whatever they change."""
    told = {"C500_MIGRATION": doing.migration, "C500_PHASE": doing.phase, "C500_RUN": doing.run}
    return told | {variable_of(resource): str(token) for resource, token in doing.tokens.items()}


async def _command(performer: Performer, places: Places, action: Command, doing: Doing) -> Outcome:
    arguments = action.model_dump(mode="json", include=COMMAND_FIELDS)
    deed = doing.deed("run_on_host", arguments, repeatable=action.repeatable, touched=Touched(argv=action.argv))
    return await performer.do(deed, lambda: _tried(performer, action, doing, lambda _: _ran(places, action, doing)))


async def _ran(places: Places, action: Command, doing: Doing) -> Any:
    env = environment(doing) | await places.variables(action)
    async with places.host(action.host) as host:
        await _begun(doing)
        how = {"env": env, "cwd": cwd_of(places, action), "timeout_s": action.timeout_s, "become": action.become}
        done = (await ran(host, action.argv, is_safe=action.repeatable, **how)).checked()
    return {"stdout": done.stdout[-SHOWN_CHARS:], "stderr": done.stderr[-SHOWN_CHARS:], "took_s": done.took_s}


def cwd_of(places: Places, action: Command | CommandCheck) -> str | None:
    """The folder that a command runs in: of itself the plan's, where that is."""
    return action.cwd or (places.plan.folder or None if action.host == "local" else None)


async def _agent(performer: Performer, places: Places, action: AgentWork, doing: Doing) -> Outcome:
    arguments = action.model_dump(mode="json", include={"agent", "goal", "profile", "workspace", "budget_usd"})
    # Repeatable: an agent's run goes on where it was, under its own ledger.
    deed = doing.deed("run_agent", arguments, repeatable=True, touched=Touched())

    async def work(number: int) -> Any:
        await _begun(doing)
        run_id = hash_of(doing.run, [doing.name, number])[:16]
        return {"said": (await places.run_agent(action, run_id))[:SHOWN_CHARS]}

    return await performer.do(deed, lambda: _tried(performer, action, doing, work))


async def _in_database(performer: Performer, places: Places, action: Sql | Backfill, doing: Doing) -> Outcome:
    fields = {"database", "script", "batch", "start", "rows", "transaction"}
    arguments = action.model_dump(mode="json", include=fields)
    deed = doing.deed("run_sql", arguments, repeatable=True, touched=Touched())

    async def work(_: int) -> Any:
        if isinstance(action, Sql):
            return await _applied(places, action, doing)
        return await _filled(performer, places, action, doing)

    return await performer.do(deed, lambda: _tried(performer, action, doing, work))


async def _tried(performer: Performer, action: Action, doing: Doing, work: Callable[[int], Awaitable[Any]]) -> Any:
    """Do something, as often as its plan says; within one deed, so that no person is asked for each try.

    What fails for something that passes is tried again, and of commands and agents whatever fails. The work itself says
    when it begins: until its host or database is reached, nothing of it ran.
    """
    for number in range(1, action.tries + 1):
        try:
            return {**await work(number), "tries": number}
        except Fenced as error:
            raise LostHold(error) from error
        except C500Error as error:
            again = error.transient or (isinstance(action, Command | AgentWork) and isinstance(error, EngineFailed))
            if number == action.tries or not again:
                raise
        await performer.check_stopped()
        await _still_held(doing)
        await asyncio.sleep(action.every_s)
    raise AssertionError("a plan has one try or more")


async def _begun(doing: Doing) -> None:
    try:
        await doing.begins()
    except Fenced as error:
        raise LostHold(error) from error


async def _still_held(doing: Doing) -> None:
    try:
        await in_thread(doing.check)
    except Fenced as error:
        raise LostHold(error) from error


async def _applied(places: Places, action: Sql, doing: Doing) -> Any:
    times = {"lock_timeout_s": action.lock_timeout_s, "timeout_s": action.timeout_s}
    async with places.database(action.database, **times) as connection:
        await _begun(doing)
        now = await apply(connection, doing.entry(action), action)
    return {"statements": len(action.statements), "was_done_before": not now}


async def _filled(performer: Performer, places: Places, action: Backfill, doing: Doing) -> Any:
    entry, rows, is_done = doing.entry(action), 0, False
    times = {"lock_timeout_s": action.lock_timeout_s, "timeout_s": action.timeout_s}
    async with places.database(action.database, **times) as connection:
        await _begun(doing)
        await prepare(connection)
        while not is_done:
            is_done, rows = await fill_part(connection, entry, action)
            if not is_done:
                await performer.check_stopped()
                await _still_held(doing)
                await asyncio.sleep(action.pause_s)
    return {"rows": rows}


def failure(outcome: Outcome) -> str:
    """Why a deed was not done, in a line."""
    if outcome.error is not None:
        return outcome.error.message
    return outcome.why or outcome.status


def said_of(outcome: Outcome) -> str:
    """What came of a deed that was done, in a line."""
    given: dict[str, Any] = outcome.result or {}
    told = str(given.get("stdout") or given.get("said") or "")[-500:].strip()
    if "rows" in given:
        told = f"{given['rows']} rows"
    if given.get("was_done_before"):
        told = "it was done before, by an attempt that was cut off"
    return f"{told} ({given['tries']} tries)".strip() if given.get("tries", 1) > 1 else told
