"""A request: what is asked, and within which bounds it is answered."""

from pydantic import Field

from blocks.accounts.account import Accounts, Name, Tier
from blocks.accounts.chat import ChatRequest
from blocks.accounts.routes import check_choice
from blocks.content import content_hash
from blocks.errors import BadInput
from blocks.model import Frozen
from tasks.dispatch.plan import Plan, Said, check_plan
from tasks.dispatch.speciality import Specialities, ours

PROMPTS = 1
"""Raised when our prompts change so that earlier results no longer stand."""

BOUNDS = {"labels", "deadline_s", "budget_usd", "at_once", "answer_within_s"}
"""Options that say how far to go, not what to do: with more time or money the same request goes on where it ended."""

MOST_TASKS = 200
"""Of any plan, the caller's own as well."""


class Coordinator(Frozen):
    """Who asks, plans, merges and evaluates.

    Attributes:
        tier: How good a model it needs.
        model: A model's name in `accounts.yaml` instead.
    """

    tier: Tier = "complex"
    model: Name | None = None

    def asked(self, request: ChatRequest) -> ChatRequest:
        """The request, addressed to it."""
        return request.model_copy(update={"tier": self.tier, "model": self.model})


class DispatchOptions(Frozen):
    """How a request is answered.

    Attributes:
        questions: The most questions the coordinator may ask the user before it plans; 0 for none.
        answer_within_s: How long the run pauses for the user's answers, in seconds; then, or with 0 at once, it goes
            on with the assumptions the coordinator states. The time does not count against the deadline.
        criteria: What the answer is judged by; empty leaves it to the plan.
        rounds: The most rounds of improvement after the first evaluation.
        good_enough: Mean score from which nothing is improved any more, 0 to 1.
        max_tasks: The most sub-tasks the coordinator may plan.
        at_once: The most sub-tasks in hand at the same time.
        coordinator: Who asks, plans, merges and evaluates.
        specialities: Rows that are added to our table or replace ours.
        fallback_merge: Whether results are put together by rule when no model merges them; the answer says so.
        user: Who asks: budgets and books go by it, and only the same user finds the results again.
        labels: Only accounts of one of these labels or names; empty for all.
        deadline_s: Seconds from the start within which it ends, whatever happens; None for no deadline.
        budget_usd: Dollars it may cost over all its attempts; None for no limit but those of `accounts.yaml`.
    """

    questions: int = Field(default=0, ge=0, le=10)
    answer_within_s: float = Field(default=0, ge=0, le=7 * 86_400)
    criteria: tuple[Said, ...] = ()
    rounds: int = Field(default=1, ge=0, le=10)
    good_enough: float = Field(default=0.9, ge=0, le=1)
    max_tasks: int = Field(default=20, ge=1, le=MOST_TASKS)
    at_once: int = Field(default=32, ge=1, le=1000)
    coordinator: Coordinator = Coordinator()
    specialities: Specialities = Field(default_factory=dict)
    fallback_merge: bool = False
    user: str = Field(default="anonymous", min_length=1)
    labels: tuple[str, ...] = ()
    deadline_s: float | None = Field(default=600, gt=0)
    budget_usd: float | None = Field(default=None, gt=0)

    @property
    def table(self) -> Specialities:
        """Our specialities with the caller's."""
        return ours() | self.specialities


class DispatchRequest(Frozen):
    """A request with everything that decides its answer.

    Attributes:
        text: What is asked.
        options: How it is answered.
        plan: The caller's own plan; None has the coordinator make one.
    """

    text: str
    options: DispatchOptions = DispatchOptions()
    plan: Plan | None = None

    @property
    def dispatch_id(self) -> str:
        """First 16 hex digits of sha256 over the request, the plan and the options that are no bounds."""
        asked = self.options.model_dump(mode="json", exclude=BOUNDS)
        return content_hash([PROMPTS, self.text.strip(), asked, ours(), self.plan])[:16]

    @property
    def folder(self) -> str:
        """Where its files lie in the store."""
        return dispatch_folder(self.dispatch_id)

    def check(self) -> None:
        """Refuse what cannot be answered.

        Raises:
            BadInput: the request is empty, or the caller's plan cannot be carried out.
        """
        if not self.text.strip():
            raise BadInput("the request is empty", fix="say what you want", field="request")
        if self.plan is not None:
            check_plan(self.plan, MOST_TASKS, self.options.table)


def check_accounts_for(request: DispatchRequest, accounts: Accounts) -> None:
    """Refuse a request that names accounts or models that the file has not.

    Raises:
        Unsupported: no account has such a name, label or model, or is good enough for the coordinator.
    """
    options = request.options
    check_choice(accounts, options.labels, options.coordinator.model, options.coordinator.tier)
    used = None if request.plan is None else {task.speciality for task in request.plan.tasks}
    for name, speciality in options.table.items():
        if speciality.model is not None and (used is None or name in used):
            check_choice(accounts, options.labels, speciality.model)


def dispatch_folder(dispatch_id: str) -> str:
    """The folder of a request in the store."""
    return f"dispatches/{dispatch_id}"
