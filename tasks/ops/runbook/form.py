"""The form of a runbook's file."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator, model_validator

from blocks.action import Risk
from blocks.faults import Fault, Place, faulty
from blocks.model import Frozen
from tasks.ops.deed import Consent
from tasks.ops.runbook.expression import Expression, parse_expression
from tasks.ops.runbook.expression_types import Wrong
from tasks.ops.runbook.parse import Parse
from tasks.ops.runbook.template import Template, parse_template
from tasks.ops.runbook.typed import Name, Slug, Typed

DEEPEST = 5
"""Runbooks within runbooks; and steps within steps."""

MOST_STEPS = 200
COMMAND_S, WAIT_S, RUNBOOK_S = 600.0, 300.0, 3600.0


def _is_template(text: str) -> str:
    parse_template(text)
    return text


def _is_expression(text: str) -> str:
    try:
        parse_expression(text)
    except Wrong as error:
        raise ValueError(str(error)) from None
    return text


Text = Annotated[str, Field(max_length=4000), AfterValidator(_is_template)]
Condition = Annotated[str, Field(min_length=1), AfterValidator(_is_expression)]
Argv = Annotated[tuple[Text, ...], Field(min_length=1, max_length=256)]
HostText = Annotated[str, Field(max_length=200), AfterValidator(_is_template)]
Seconds = Annotated[float, Field(gt=0, le=7 * 86_400)]
Variable = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]


class Parameter(Typed):
    """What a runbook is told.

    Attributes:
        description: For people.
        default: What it is where nothing is told; without one it has to be told.
        alert: Where it comes from in an alert: `name`, `value`, `labels.NAME`, `annotations.NAME`.
    """

    description: str = ""
    default: Any = None
    alert: str | None = Field(default=None, pattern=r"^(name|value|metric|(labels|annotations)\.[^\s]{1,100})$")

    @model_validator(mode="after")
    def _default_fits(self) -> "Parameter":
        if self.default is not None:
            try:
                self.cast(self.default)
            except ValueError as error:
                raise faulty([Fault(("default",), str(error))]) from None
        return self


class OnFailure(Frozen):
    """What is done where a step fails.

    Attributes:
        retry: So many more tries.
        wait_s: Seconds between them.
        goto: Steps of `compensation` that are done then.
        runbook: A runbook that is run then.
        given: What it is told.
        then: Whether the run ends.
    """

    retry: int = Field(default=0, ge=0, le=20)
    wait_s: float = Field(default=5, ge=0, le=3600)
    goto: Slug | None = None
    runbook: Slug | None = None
    given: dict[Variable, Any] = Field(default_factory=dict[str, Any], alias="with")
    then: Literal["stop", "continue"] = "stop"

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        return {"then": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_way(self) -> "OnFailure":
        if self.goto and self.runbook:
            raise faulty([Fault(("runbook",), "either goto or runbook")])
        return self


class Step(Frozen):
    """A step.

    Attributes:
        name: Names it within the runbook.
        says: What it is for, for people.
        on_failure: What is done where it fails.
        place: Where it stands in the file.
    """

    kind: ClassVar[str] = ""

    name: Slug
    says: str = Field(default="", max_length=500)
    on_failure: OnFailure = OnFailure()
    place: Place = Field(default=(), exclude=True)


class Words(Frozen):
    """How values may stand in the words of a command.

    Attributes:
        allow_option: Whether a value may begin a word with `-`.
        allow_path: Whether one that is no path by its type may be one.
    """

    allow_option: bool = False
    allow_path: bool = False


class Effect(Frozen):
    """How much a step does.

    Attributes:
        risk: How much harm it may do.
        reversible: Whether it can be taken back.
        consent: Who must agree, beside whoever the rules want.
    """

    risk: Risk = "medium"
    reversible: bool = False
    consent: Consent = "rules"


class Exec(Step, Words, Effect):
    """Run a command on a host.

    Attributes:
        argv: The program and its arguments, a word each; no shell takes part.
        host: Where; by default the runbook's.
        stdin: What it reads.
        become: Whether it runs as root.
        timeout_s: Seconds after which it is killed.
        ok_codes: Exit codes with which it ended well.
        parse: What is taken from its answer.
        read_only: Whether it changes nothing; then it runs in dry runs too, and again after a crash.
        repeatable: Whether doing it twice is as doing it once.
    """

    kind: ClassVar[str] = "exec"

    argv: Argv = Field(alias="exec")
    host: HostText = ""
    stdin: Text = ""
    become: bool = False
    timeout_s: Seconds = COMMAND_S
    ok_codes: tuple[int, ...] = Field(default=(0,), min_length=1)
    parse: tuple[Parse, ...] = ()
    read_only: bool = False
    repeatable: bool = False


class Conditional(Step):
    """Do some steps or others."""

    kind: ClassVar[str] = "if"

    condition: Condition = Field(alias="if")
    then: tuple[Any, ...] = ()
    otherwise: tuple[Any, ...] = Field(default=(), alias="else")


class Parallel(Step):
    """Do several lists of steps side by side."""

    kind: ClassVar[str] = "parallel"

    branches: tuple[tuple[Any, ...], ...] = Field(alias="parallel", min_length=2, max_length=20)
    at_once: int = Field(default=8, ge=1, le=20)


class WaitUntil(Step, Words):
    """Look again and again until an expression holds; what looks changes nothing.

    Attributes:
        condition: The expression; of a metric `value` is what it is.
        argv: Command whose answer is parsed for it.
        metric: Query of Prometheus that gives one number.
    """

    kind: ClassVar[str] = "wait_until"

    condition: Condition = Field(alias="wait_until")
    argv: Argv | None = Field(default=None, alias="command")
    metric: Text | None = None
    host: HostText = ""
    become: bool = False
    command_s: Seconds = 30
    ok_codes: tuple[int, ...] = Field(default=(0,), min_length=1)
    parse: tuple[Parse, ...] = ()
    every_s: float = Field(default=10, ge=0.05, le=3600)
    timeout_s: Seconds = WAIT_S

    @model_validator(mode="after")
    def _looks_at_something(self) -> "WaitUntil":
        if (self.argv is None) == (self.metric is None):
            raise faulty([Fault(("wait_until",), "it needs either a command or a metric to look at")])
        if self.metric is not None and self.parse:
            raise faulty([Fault(("parse",), "a metric gives `value`, and nothing to parse")])
        return self


class CopyWhat(Frozen):
    """A file for a host.

    Attributes:
        file: Beside the runbook, or in a folder there; as it is.
        content: Or a text with values.
        to: Absolute path on the host; what stands before the first value in it is the folder it cannot leave.
        mode: Rights, octal.
    """

    file: str | None = Field(default=None, pattern=r"^[A-Za-z0-9._/-]+$")
    content: Annotated[str, Field(max_length=100_000), AfterValidator(_is_template)] | None = None
    to: Text
    mode: str = Field(default="0644", pattern=r"^0?[0-7]{3}$")

    @model_validator(mode="after")
    def _one_source(self) -> "CopyWhat":
        faults: list[Fault] = []
        if (self.file is None) == (self.content is None):
            faults.append(Fault(("file",), "either file or content"))
        if self.file is not None and {"", ".", ".."} & set(self.file.split("/")):
            faults.append(Fault(("file",), "it lies beside the runbook, and has no . and .. in it"))
        if not self.to.startswith("/"):
            begun = self.to.startswith("{{")
            told = f"begin with a written folder, as /srv/{self.to}" if begun else "here belongs an absolute path"
            faults.append(Fault(("to",), told))
        if faults:
            raise faulty(faults)
        return self


class Copy(Step, Effect):
    """Put a file onto a host, whole or not at all."""

    kind: ClassVar[str] = "copy"

    what: CopyWhat = Field(alias="copy")
    host: HostText = ""


class Message(Frozen):
    """A message to the operators."""

    subject: Annotated[Text, Field(min_length=1, max_length=200)]
    body: Text = ""


class Notify(Step):
    """Tell the operators something."""

    kind: ClassVar[str] = "notify"

    message: Message = Field(alias="notify")


class Approve(Step):
    """Wait for people.

    Attributes:
        question: What they agree to.
        persons: How many; never whoever the run is for.
        timeout_s: Seconds that the question stands; then it is refused.
    """

    kind: ClassVar[str] = "approve"

    question: Annotated[Text, Field(min_length=1)] = Field(alias="approve")
    persons: Literal[1, 2] = 1
    timeout_s: Seconds | None = None
    risk: Risk = "medium"


class SubRunbook(Step):
    """Run another runbook.

    Attributes:
        runbook: Its name.
        given: What it is told: texts with values, or values.
        returns: Variables of ours, and which of its they take.
    """

    kind: ClassVar[str] = "runbook"

    runbook: Slug
    given: dict[Variable, Any] = Field(default_factory=dict[str, Any], alias="with")
    returns: dict[Name, Variable] = Field(default_factory=dict[str, str])


KINDS: dict[str, type[Step]] = {
    kind.kind: kind for kind in (Exec, Conditional, Parallel, WaitUntil, Copy, Notify, Approve, SubRunbook)
}

NESTED = {"if": ("then", "else"), "parallel": ("parallel",)}
"""Fields that hold steps."""


class Runbook(Frozen):
    """A runbook.

    Attributes:
        name: As its file is called.
        description: When it is for, and what it does.
        trigger: What it is for; any of them.
        parameters: What it is told.
        host: Where its steps work, unless they say otherwise.
        timeout_s: Seconds in which all of it has to be done, waiting for people too.
        steps: What is done, in order.
        compensation: Lists of steps that `on_failure: {goto: NAME}` leads to.
    """

    name: Slug
    description: str = Field(min_length=1, max_length=2000)
    trigger: tuple[Any, ...] = ()
    parameters: dict[Name, Parameter] = Field(default_factory=dict[str, Parameter])
    host: HostText = "local"
    timeout_s: Seconds = RUNBOOK_S
    steps: tuple[Any, ...] = Field(min_length=1)
    compensation: dict[Slug, tuple[Any, ...]] = Field(default_factory=dict[str, tuple[Any, ...]])

    @field_validator("trigger", "steps", mode="before")
    @classmethod
    def _as_list(cls, value: Any) -> Any:
        return (value,) if isinstance(value, dict) else value


def template(text: str) -> Template:
    """A text of a runbook as a template."""
    return parse_template(text)


def expression(text: str) -> Expression:
    """A condition of a runbook as an expression."""
    return parse_expression(text)
