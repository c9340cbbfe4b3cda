"""The tool `hand_off`: an agent that cannot go on gives the work to a person, and later goes on from there."""

from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from blocks.action import Label
from blocks.approvals.identity import same_person
from blocks.errors import BadInput, StoreFailed
from blocks.progress import in_thread
from blocks.store import open_store
from tasks.agents.opened import Opened, work_of
from tasks.agents.team.handoff import HandBack, HandedOff, HandOff, HandOffs, handoff_id
from tasks.agents.tool import Call, Tool

Said = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=10_000)]
UNTRUSTED = "untrusted"
"""Key of the result that says why it is."""

Listed = Annotated[list[Said], Field(max_length=100)]


class HandOffArguments(BaseModel):
    """What is handed to a person."""

    model_config = ConfigDict(extra="forbid")

    why: Said = Field(description="Why a person is needed")
    question: Said = Field(description="What you ask the person, or ask them to do")
    done: Listed = Field(default_factory=list, description="What you did so far, one step each")
    open: Listed = Field(default_factory=list, description="What is open")
    next_steps: Listed = Field(default_factory=list, description="What you propose")
    artefacts: Listed = Field(default_factory=list, description="Files of the workspace that belong to it")


async def hand_off(arguments: HandOffArguments, call: Call) -> dict[str, Any]:
    """Give the work to a person, and end the run; once the person has handed back, give what they said.

    The run is gone on with under its id: this call is then made again, and finds the answer.

    Raises:
        AgentRunError: nobody has answered yet; its cause is `HandedOff`, by which the run ends as `limited`. Or the
            answer cannot be read: `StoreFailed`.
    """
    from pydantic_ai.exceptions import AgentRunError

    work, handoffs = work_of(call.run_id), HandOffs(open_store())
    told = work.place.redactor.value(arguments.model_dump())
    given = HandOff(
        handoff_id=handoff_id(call.run_id, call.call_id),
        run_id=call.run_id,
        agent=call.agent,
        user=call.user,
        goal=work.place.redactor.text(work.goal),
        at=datetime.now(UTC),
        **told,
    )
    kept = await in_thread(handoffs.give, given)
    try:
        back = await in_thread(handoffs.back, kept.handoff_id)
    except StoreFailed as error:  # without the answer it must not go on
        raise AgentRunError("what was handed back cannot be read") from error
    facts: dict[str, Any] = {"tool": TOOL.name, "call_id": call.call_id}
    if back is None:
        details = kept.model_dump(mode="json", exclude={"goal"})
        await work.record("handoff", f"{call.call_id}/handoff", **facts, trigger=kept.why, details=details)
        waiting = HandedOff(
            f"the agent handed the work to a person: {kept.question}",
            fix=f"answer with `c500 handoff answer {kept.handoff_id}`, then go on with the run",
            handoff_id=kept.handoff_id,
        )
        # Errors of ours are told to the model; this one has to end the run.
        raise AgentRunError("handed off") from waiting
    details = back.model_dump(mode="json")
    await work.record("handoff", f"{call.call_id}/handback", **facts, approvers=(back.by,), details=details)
    told = handed_back(back)
    return told if _is_theirs(back, work) else told | {UNTRUSTED: f"{back.by} is not who you work for"}


def _is_theirs(back: HandBack, work: Opened) -> bool:
    """Whether who hands back is who the run works for, or who began it."""
    try:
        return same_person(back.by, (work.user, work.begun_by))
    except BadInput:
        return False


def labels_of(result: Any) -> frozenset[Label]:
    """What somebody else than the user hands back may hold anybody's words."""
    return frozenset({"untrusted"} if isinstance(result, dict) and UNTRUSTED in result else ())


def handed_back(back: HandBack) -> dict[str, Any]:
    """What the model is told."""
    said = {"by": back.by, "did": back.did, "answer": back.answer, "changes": back.changes}
    then = "go on with your goal from here" if back.go_on else "end now: report what was done and what is left"
    return {"handed_back": {name: value for name, value in said.items() if value}, "then": then}


TOOL = Tool(
    name="hand_off",
    description=(
        "Give the work to a person when you cannot or must not go on by yourself: something only a person knows, may "
        "decide or can do. The run waits; what they hand back is the result of this call. Call it alone, not beside "
        "other tools."
    ),
    arguments=HandOffArguments,
    call=hand_off,
    risk="low",
    reversible=True,
    labels_of=labels_of,
    read_only=True,  # it changes nothing but our own record, and must be called again when the run goes on
)

TOOLS: tuple[Tool[Any], ...] = (TOOL,)
