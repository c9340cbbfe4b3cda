"""The form by which people answer a request in the Prefect UI."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, Literal
from uuid import UUID

from prefect.input import RunInput
from pydantic import Field, ValidationError

from blocks.action import RISKS, Risk
from blocks.approvals import Approvals
from blocks.approvals.request import REASON_CHARS, ApprovalRequest
from blocks.errors import BadInput, C500Error
from blocks.plain_text import cut, json_lines, plain
from blocks.progress import in_thread, only_informing
from flows.paused_form import PausedForm

LOOK_S = 10.0
"""The longest that one look at a form may take."""


class ApprovalForm(RunInput):
    """What is asked of whoever opens it."""

    verdict: Literal["undecided", "approve", "deny"] = Field(default="undecided", title="Decision")
    name: str = Field(default="", title="Your name", description="Not that of who asked.")
    reason: str = Field(default="", max_length=REASON_CHARS, title="Reason", description="Its agent is told it.")
    arguments: str = Field(
        default="", title="Other arguments", description="Empty for those above; else all of them, as JSON."
    )


class ApprovalNotice(RunInput):
    """A form without fields, where what a form says would not count."""


def form_of(request: ApprovalRequest, form_up_to: Risk, said: str) -> type[RunInput]:
    """The form of a request.

    Args:
        request: What is asked.
        form_up_to: The highest risk for which an answer by a form counts.
        said: What became of the answer before.
    """
    counts = RISKS.index(request.risk) <= RISKS.index(form_up_to)
    kind: Any = ApprovalForm if counts else ApprovalNotice
    return kind.with_initial_data(description="\n".join(_lines(request, said, counts=counts)))


def _lines(request: ApprovalRequest, said: str, *, counts: bool) -> list[str]:
    facts = {
        "Agent": request.agent,
        "Works for": request.requester,
        "Wants to call": request.tool,
        "Risk": request.risk,
        "Asked because": request.reason,
        "Denied after": f"{request.expires_at:%Y-%m-%d %H:%M:%S %Z}",
        "Persons needed": str(request.persons),
        "Hash of the arguments": request.arguments_hash,
    }
    command = f"`c500 approve show {request.approval_id}`"
    answer = "Answer below, or by" if counts else "**A form is no answer for this risk.** Answer by"
    return [
        *([f"**The last answer was not counted:** {_inline(said)}", ""] if said else []),
        *(f"- {name}: {_inline(value)}" for name, value in facts.items() if value),
        "",
        "```json",  # no line of JSON can end it: each begins with a blank, a bracket or a quote
        cut(json_lines(request.arguments)),
        "```",
        "",
        f"{answer} {command} or the gateway (`/v1/approvals/{request.approval_id}`).",
    ]


def _inline(text: str) -> str:
    """A text as Markdown shows it word for word, on one line."""
    shown = plain(text).replace("``", "''")
    return f"`` {shown} ``"


class Forms:
    """The forms of one request, one after the other.

    Args:
        request: The request.
        approvals: Where the answers go.
        run_id: The flow run that is paused.
    """

    def __init__(self, request: ApprovalRequest, approvals: Approvals, run_id: UUID) -> None:
        self._request, self._approvals, self._run_id = request, approvals, run_id
        self._round = 0
        self._form = self._next("")

    async def look(self) -> None:
        """Look at the form; what somebody sent becomes a vote."""
        async with only_informing(within_s=LOOK_S):
            try:
                sent = await self._form.look()
            except ValidationError:
                self._form = self._next("it does not fit the form")
                return
            if sent is not None:
                self._form = self._next(await self._voted(sent))

    async def take_down(self) -> bool:
        """Have the run go on; whether the server has heard it."""
        async with only_informing("the end of a form", within_s=LOOK_S):
            await self._form.take_down()
            return True
        return False

    def _next(self, said: str) -> PausedForm:
        left = self._request.expires_at - datetime.now(UTC)
        key = f"{form_key(self._request.approval_id)}-{self._round}"
        self._round += 1
        form = form_of(self._request, self._approvals.form_up_to, said)
        return PausedForm(self._run_id, key, form, max(0.0, left.total_seconds()))

    async def _voted(self, sent: Any) -> str:
        """Count an answer; returns why it was not, empty when it was."""
        if not isinstance(sent, ApprovalForm) or sent.verdict == "undecided":
            return "it had no decision"
        try:
            await in_thread(
                self._approvals.vote,
                self._request.approval_id,
                by=sent.name,
                verdict=sent.verdict,
                channel="prefect",
                now=datetime.now(UTC),
                arguments=_changed(sent.arguments),
                reason=sent.reason,
            )
        except C500Error as error:
            return f"{error.message} ({error.fix})"
        return ""


def _changed(text: str) -> dict[str, Any] | None:
    if not text.strip():
        return None
    try:
        arguments: Any = json.loads(text)
    except ValueError:
        arguments = None
    if not isinstance(arguments, dict):
        raise BadInput("the arguments are no JSON object", fix="leave the field empty, or give all of them")
    return arguments  # pyright: ignore[reportUnknownVariableType]


def form_key(approval_id: str) -> str:
    """How the keys of a request's forms begin: only `[a-z0-9-]`, else Prefect fails after it has paused the run."""
    return f"approval-{sha256(approval_id.encode()).hexdigest()[:16]}"
