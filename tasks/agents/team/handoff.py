"""What an agent hands to a person, and what the person hands back: then the run goes on where it waits."""

from datetime import datetime
from hashlib import sha256
from typing import TypeVar

from pydantic import Field, ValidationError

from blocks.errors import BadInput, C500Error, Conflict, NotFound, StoreFailed
from blocks.model import Frozen
from blocks.redact import default_redactor
from blocks.store.files import Files, safe_key
from tasks.agents.team.text import Clean

R = TypeVar("R", bound=Frozen)

HANDOFFS = "agents/handoffs"


class HandedOff(C500Error):
    """The agent gave the work to a person; the run waits for what is handed back."""

    code = "HANDED_OFF"
    exit_code = 3


class HandOff(Frozen):
    """Work that an agent gave to a person.

    Attributes:
        handoff_id: Names it.
        run_id: The run that waits.
        agent: Whose it is.
        user: For whom it works.
        goal: What it was to reach.
        why: Why a person is needed.
        question: What the person is asked, or asked to do.
        done: What was done so far, in the agent's words; the audit holds the facts.
        open: What is open.
        next_steps: What the agent proposes.
        artefacts: Files of the workspace that belong to it.
        at: When.
    """

    handoff_id: str
    run_id: str
    agent: str
    user: str
    goal: Clean
    why: Clean
    question: Clean
    done: tuple[Clean, ...] = ()
    open: tuple[Clean, ...] = ()
    next_steps: tuple[Clean, ...] = ()
    artefacts: tuple[Clean, ...] = ()
    at: datetime


class HandBack(Frozen):
    """What a person hands back to the agent.

    Attributes:
        handoff_id: To which hand-off.
        by: Who.
        did: What was done by hand.
        answer: To the agent's question.
        changes: What the agent is to do otherwise from now on.
        go_on: Whether the agent goes on with its goal; else it ends its work and reports.
        at: When.
    """

    handoff_id: str
    by: str = Field(min_length=1, max_length=200)
    did: Clean = Field(default="", max_length=20_000)
    answer: Clean = Field(default="", max_length=20_000)
    changes: Clean = Field(default="", max_length=20_000)
    go_on: bool = True
    at: datetime

    @property
    def text(self) -> str:
        """All of it, for the message log."""
        return "\n".join((self.did, self.answer, self.changes, str(self.go_on)))


class Waited(Frozen):
    """That a team's task waits for a hand-off.

    Attributes:
        team: Run of the team.
        task_id: The task.
    """

    team: str
    task_id: str


class HandOffs:
    """Hand-offs in the store; each is written once, and answered once.

    Args:
        files: The store.
    """

    def __init__(self, files: Files) -> None:
        self._files = files

    def give(self, handoff: HandOff) -> HandOff:
        """Keep a hand-off; the one that is there already stands."""
        key = self._key(handoff.handoff_id, "off")
        try:
            self._files.put_if(key, handoff.model_dump_json(indent=1).encode(), None)
        except Conflict:
            return self.find(handoff.handoff_id)
        return handoff

    def find(self, handoff_id: str) -> HandOff:
        """A hand-off. Raises `NotFound`, `StoreFailed`."""
        found = self._read(HandOff, handoff_id, "off")
        if found is None:
            raise NotFound(
                f"there is no hand-off {handoff_id!r}", fix="list them with `c500 handoff list --all`", field="ID"
            )
        return found

    def answer(self, back: HandBack) -> HandBack:
        """Hand back; secrets are taken out of what is said.

        Raises:
            BadInput: nothing is said.
            NotFound: there is no such hand-off.
            Conflict: it was answered before.
        """
        self.find(back.handoff_id)
        if not (back.did.strip() or back.answer.strip() or back.changes.strip()):
            fix = "say what was done, or answer the agent's question"
            raise BadInput("nothing is handed back", fix=fix, field="answer")
        redact = default_redactor().text
        said = {name: redact(getattr(back, name)) for name in ("did", "answer", "changes")}
        back = back.model_copy(update=said)
        key = self._key(back.handoff_id, "back")
        try:
            self._files.put_if(key, back.model_dump_json(indent=1).encode(), None)
        except Conflict as error:
            raise Conflict(
                f"hand-off {back.handoff_id} was answered before", fix="see `c500 handoff show`: it holds the answer"
            ) from error
        return back

    def back(self, handoff_id: str) -> HandBack | None:
        """What was handed back; None while it waits. Raises `StoreFailed`: the record is damaged, or of another one."""
        found = self._read(HandBack, handoff_id, "back")
        if found is not None and found.handoff_id != handoff_id:
            told = f"what was handed back to {found.handoff_id} lies in the store as an answer to {handoff_id}"
            raise StoreFailed(told, fix="find out who can write to the store, then begin a new run")
        return found

    def all(self, run_id: str | None = None) -> list[HandOff]:
        """All hand-offs, or those of a run; the oldest first."""
        prefix = f"{HANDOFFS}/" if run_id is None else f"{HANDOFFS}/{run_id}-"
        ids = [key.split("/")[2] for key in self._files.list(prefix) if key.endswith("/off.json")]
        return sorted((self.find(one) for one in ids), key=lambda found: found.at)

    def waiting(self, run_id: str | None = None) -> list[HandOff]:
        """Those that are not answered yet; the oldest first."""
        return [one for one in self.all(run_id) if self.back(one.handoff_id) is None]

    def waited_by(self, handoff_id: str, waited: Waited) -> None:
        """Note that a team waits for it."""
        self._files.put_bytes(self._key(handoff_id, "team"), waited.model_dump_json().encode())

    def team_of(self, handoff_id: str) -> Waited | None:
        """The team that waits for it; None where no team does."""
        return self._read(Waited, handoff_id, "team")

    def _read(self, kind: type[R], handoff_id: str, name: str) -> R | None:
        key = self._key(handoff_id, name)
        try:
            return kind.model_validate_json(self._files.read_bytes(key))
        except NotFound:
            return None
        except ValidationError as error:
            told = f"the record {key} is damaged: {error.error_count()} faults"
            raise StoreFailed(told, fix="restore it from a backup, or begin a new run", key=key) from None

    @staticmethod
    def _key(handoff_id: str, name: str) -> str:
        return safe_key(f"{HANDOFFS}/{handoff_id}/{name}.json")


def handoff_id(run_id: str, call_id: str) -> str:
    """Names the hand-off of a call; the same in every attempt of its run."""
    return f"{run_id}-{sha256(call_id.encode(errors='surrogatepass')).hexdigest()[:8]}"
