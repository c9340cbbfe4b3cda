"""How the simulated providers behave: fast or slow, right or wrong, strict or not. Changed while they run."""

import re
from collections.abc import Callable
from math import exp, log, sqrt
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, ImportString, field_validator, model_validator

from blocks.accounts.account import Quota
from blocks.errors import BadInput
from blocks.model import Frozen

Fault = Literal[
    "error",
    "overloaded",
    "rate_limited",
    "out_of_quota",
    "html",
    "reset_before",
    "reset_after",
    "half_body",
    "hang",
    "slow",
    "malformed",
    "prose",
    "fence",
    "wrong_schema",
    "empty",
    "filtered",
    "length",
]
"""What can go wrong with a call that is within its limits.

`error`: `error_status` in the provider's form. `overloaded`: 529 of Anthropic, 503 of the others. `rate_limited`: 429
that does not say when to come back. `out_of_quota`: the account has no money left. `html`: 502 with a page of a proxy.
`reset_before`, `reset_after`: the connection is reset before or after the headers of the answer. `half_body`: it ends
in the middle of the answer. `hang`: nothing comes until the caller gives up. `slow`: `slow_s` more.
`malformed`, `prose`, `fence`, `wrong_schema`, `empty`: the answer is no JSON, has talk or a code fence around it, is of
another schema, or is empty. `filtered`: the provider withholds the content. `length`: it ends in the middle, as if
`max_tokens` had been reached.
"""

FAULTS: tuple[Fault, ...] = get_args(Fault)

CHARGED: frozenset[Fault] = frozenset(FAULTS) - {
    "error",
    "overloaded",
    "rate_limited",
    "out_of_quota",
    "html",
    "reset_before",
    "hang",
}
"""Faults of calls that the model answered: the provider charges them, whether or not the answer arrived."""

UNDELIVERED: frozenset[Fault] = frozenset({"reset_after", "half_body"})
"""Charged faults whose usage the caller cannot know."""

MIXED: tuple[Fault, ...] = tuple(fault for fault in FAULTS if fault not in ("hang", "slow", "out_of_quota", "filtered"))
"""What `--faults 0.3` is shared among: all that another attempt may put right, and that takes no minutes."""

P95 = 1.6448536269514722
"""The standard normal value that 95 of 100 lie below."""

Share = Annotated[float, Field(ge=0, le=1)]
Script = Callable[[Any], Any]


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"it is no regular expression: {error}") from error
    return pattern


class Latency(Frozen):
    """Time from a request to its answer, or to the first token of a stream.

    Attributes:
        kind: Always the same, or log-normally distributed, as measured latencies of providers roughly are.
        mean_ms: Milliseconds in the mean.
        p95_ms: Milliseconds that 95 of 100 calls stay below; only `lognormal`.
    """

    kind: Literal["fixed", "lognormal"] = "fixed"
    mean_ms: Annotated[float, Field(ge=0)] = 0.0
    p95_ms: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _exists(self) -> "Latency":
        if self.kind == "lognormal" and not self.mean_ms < self.p95_ms <= self.mean_ms * exp(P95**2 / 2):
            raise ValueError("p95_ms must lie between 1 and 3.86 times mean_ms: no log-normal distribution has others")
        return self

    def seconds(self, normal: float) -> float:
        """The latency at a standard normal value.

        With sigma = s: mean = exp(mu + s²/2) and p95 = exp(mu + 1.645 s), hence s² / 2 - 1.645 s + ln(p95 / mean) = 0.
        """
        if self.kind == "fixed":
            return self.mean_ms / 1000
        sigma = P95 - sqrt(max(0.0, P95**2 - 2 * log(self.p95_ms / self.mean_ms)))
        return self.mean_ms / 1000 * exp(sigma * normal - sigma**2 / 2)


class Drift(Frozen):
    """How wrong the provider's clock is.

    Attributes:
        offset_s: Its `Date`, days and ends of windows are so many seconds late (negative: early).
        speed: Its windows last `window_s / speed` of our seconds.
    """

    offset_s: float = 0.0
    speed: Annotated[float, Field(gt=0)] = 1.0


class Rule(Frozen):
    """An answer to requests of a kind.

    Attributes:
        pattern: Regular expression that is found anywhere in the prompt.
        answer: The content; groups of the pattern as `\\1`. A mapping or list is sent as JSON.
        tool: Call this tool, with `answer` as its arguments.
    """

    pattern: Annotated[str, AfterValidator(_compiles)]
    answer: str | dict[str, Any] | list[Any] = ""
    tool: str | None = None


class Behaviour(Frozen):
    """What can be asked of a simulated account; by default it answers at once and well.

    Attributes:
        seed: Same seed, same requests: same answers, latencies and faults.
        latency: Until an answer, or until the first token of a stream.
        token_ms: Milliseconds a token takes in a stream after the first.
        piece_tokens: Tokens in an event of a stream; vLLM sends each by itself.
        slots: How many calls it works on at once; others wait in the order of their arrival. None for any number.
        faults: Share of the calls that go wrong, by fault; together at most 1.
        next_faults: How many of the next calls go wrong, by fault and in this order, before chance decides.
        error_status: Status of the fault `error`.
        slow_s: Seconds that the fault `slow` adds.
        drift: How wrong its clock is.
        rules: Answers by pattern; the first that is found counts. Else: an answer of the schema or tool asked for,
            else an echo of the prompt.
        script: Python function instead, `package.module.function`: takes the request, returns text, a mapping, or None
            for the answer that would be given anyway. It cannot be set over HTTP.
        refused_formats: Types of OpenAI's `response_format` that the server does not know, refused with 400.
        answer_tokens: Length of an echo in tokens, or its least and most; None echoes the prompt's last message.
        cached_share: Share of the prompt that the provider has in its cache.
        reasoning_tokens: Tokens thought before every answer, charged as answered.
        tpm_rule: Tokens count when the call ends, as they were (`actual`); or before it begins, as the prompt and the
            most tokens asked for (`estimate`).
        window_s: Length of the windows of rpm and tpm in seconds.
        day_s: Length of a day of rpd and tpd in seconds.
        quota: Limits instead of those in accounts.yaml, as when a provider changes them.
        enforce: Whether what passes a limit is refused, or only counted.
        rate_limit_headers: Whether the provider's headers tell how its limits stand.
        keys: Secrets that open the account; None: `sim-` and its name, and none is needed under `/a/<account>/`.
        identify: What tells requests apart in the books: `user`, `metadata.NAME` or `header.NAME`.
    """

    seed: int = 0
    latency: Latency = Latency()
    token_ms: Annotated[float, Field(ge=0)] = 0.0
    piece_tokens: Annotated[int, Field(ge=1)] = 4
    slots: Annotated[int, Field(ge=1)] | None = None
    faults: dict[Fault, Share] = Field(default_factory=dict)
    next_faults: dict[Fault, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    error_status: Annotated[int, Field(ge=400, le=599)] = 500
    slow_s: Annotated[float, Field(ge=0)] = 10.0
    drift: Drift = Drift()
    rules: tuple[Rule, ...] = ()
    script: ImportString[Script] | None = None
    refused_formats: tuple[str, ...] = ()
    answer_tokens: int | tuple[int, int] | None = None
    cached_share: Share = 0.0
    reasoning_tokens: Annotated[int, Field(ge=0)] = 0
    tpm_rule: Literal["actual", "estimate"] = "actual"
    window_s: Annotated[float, Field(gt=0)] = 60.0
    day_s: Annotated[float, Field(gt=0)] = 86_400.0
    quota: Quota | None = None
    enforce: bool = True
    rate_limit_headers: bool = True
    keys: tuple[str, ...] | None = None
    identify: Annotated[str, Field(pattern=r"^(user|metadata\..+|header\..+)$")] | None = None

    @field_validator("faults")
    @classmethod
    def _is_a_share(cls, faults: dict[Fault, float]) -> dict[Fault, float]:
        if sum(faults.values()) > 1 + 1e-9:
            raise ValueError("the shares of all faults together are more than 1")
        return faults

    def changed(self, changes: dict[str, Any]) -> "Behaviour":
        """A copy with these fields; pydantic's `model_copy` would take wrong values.

        Raises:
            ValidationError: a value is wrong.
        """
        kept = {name: getattr(self, name) for name in self.model_fields_set}
        return Behaviour.model_validate({**kept, **changes})


def parse_latency(text: str) -> Latency:
    """`fixed:50` or `lognormal:MEAN:P95`, in milliseconds.

    Raises:
        BadInput: it is neither, or no distribution has these figures.
    """
    kind, *figures = text.split(":")
    try:
        if kind == "fixed":
            [mean] = figures
            return Latency(mean_ms=float(mean))
        if kind == "lognormal":
            mean, p95 = figures
            return Latency(kind="lognormal", mean_ms=float(mean), p95_ms=float(p95))
        raise ValueError("it is neither `fixed` nor `lognormal`")
    except ValueError as error:
        why = str(error).splitlines()[-1].strip() if "\n" not in str(error) else "no such distribution exists"
        raise BadInput(
            f"--latency is {text!r}: {why}", fix="write fixed:50 or lognormal:312:487 (mean, p95)", field="--latency"
        ) from error


def parse_faults(text: str) -> dict[Fault, float]:
    """`0.3`, shared among `MIXED`, or `error:0.1,hang:0.01`.

    Raises:
        BadInput: it is neither.
    """
    try:
        if ":" in text:
            shares = dict(part.split(":") for part in text.split(","))
        else:
            shares = dict.fromkeys(MIXED, float(text) / len(MIXED))
        return Behaviour.model_validate({"faults": {name.strip(): share for name, share in shares.items()}}).faults
    except ValueError as error:
        raise BadInput(
            f"--faults is {text!r}",
            fix=f"write a share, as 0.3, or shares by name, as error:0.1,hang:0.01, of {', '.join(FAULTS)}",
            field="--faults",
        ) from error
