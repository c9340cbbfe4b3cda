"""What `accounts.yaml` says: accounts, their models, limits and prices, budgets, and how calls are routed."""

import re
from collections.abc import Iterator
from difflib import get_close_matches
from math import ceil
from typing import Annotated, Literal

from pydantic import AfterValidator, AnyHttpUrl, Field, StringConstraints, model_validator

from blocks.faults import Fault, faulty
from blocks.limits.limit import Limit, Period
from blocks.model import Frozen
from blocks.secret_reference import SecretReference

Dialect = Literal["openai", "anthropic", "gemini"]
"""The HTTP API a provider speaks."""

Tier = Literal["simple", "moderate", "complex", "critical"]
"""How hard a request is; a model serves the tiers it is good enough for."""

TIERS: tuple[Tier, ...] = ("simple", "moderate", "complex", "critical")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}$")]
AccountName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""Without a slash: keys of limits are made of it."""

Positive = Annotated[int, Field(gt=0)]
Usd = Annotated[float, Field(ge=0, allow_inf_nan=False)]

USD_UNIT = 1_000_000_000
"""Money is counted in whole 10^-9 dollars, so that sums are exact."""


class Provider(Frozen):
    """A provider's API, where an account does not say otherwise.

    Attributes:
        dialect: The API it speaks.
        base_url: Where; None where every server has its own address.
    """

    dialect: Dialect
    base_url: str | None = None


PROVIDERS: dict[str, Provider] = {
    "openai": Provider(dialect="openai", base_url="https://api.openai.com/v1"),
    "anthropic": Provider(dialect="anthropic", base_url="https://api.anthropic.com/v1"),
    "gemini": Provider(dialect="gemini", base_url="https://generativelanguage.googleapis.com/v1beta"),
    "deepseek": Provider(dialect="openai", base_url="https://api.deepseek.com/v1"),
    "qwen": Provider(dialect="openai", base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1"),
    "kimi": Provider(dialect="openai", base_url="https://api.moonshot.ai/v1"),
    "vllm": Provider(dialect="openai"),
    "openai-compatible": Provider(dialect="openai"),
}
"""A new provider that speaks one of the dialects is a row here."""


def _known(name: str) -> str:
    if name not in PROVIDERS:
        meant = get_close_matches(name.lower(), PROVIDERS, n=1)
        hint = f"; did you mean {meant[0]}?" if meant else ""
        raise ValueError(f"there is no such provider{hint} (known are {', '.join(PROVIDERS)})")
    return name


class Price(Frozen):
    """What a model costs, in dollars for 10^6 tokens.

    Attributes:
        input_usd: Prompt tokens.
        output_usd: Completion tokens, reasoning included.
        cached_input_usd: Prompt tokens that the provider had in its cache; as `input_usd` unless said.
    """

    input_usd: Usd
    output_usd: Usd
    cached_input_usd: Usd | None = None

    def cost_units(self, prompt_tokens: int, completion_tokens: int, cached_tokens: int = 0) -> int:
        """The price of a call in 10^-9 dollars, rounded up.

        Args:
            prompt_tokens: Tokens sent, with those the provider had cached.
            completion_tokens: Tokens answered.
            cached_tokens: How many of those sent the provider had cached.
        """
        cached_usd = self.input_usd if self.cached_input_usd is None else self.cached_input_usd
        usd_per_million = (
            (prompt_tokens - cached_tokens) * self.input_usd
            + cached_tokens * cached_usd
            + completion_tokens * self.output_usd
        )
        # Rounded first: 0.1 + 0.2 dollars are no 10^-9 dollar more than 0.3.
        return ceil(round(usd_per_million * USD_UNIT / 1_000_000, 6))


class Quota(Frozen):
    """The most that may be used; what is not named is not limited.

    Attributes:
        rpm: Requests within any minute.
        tpm: Tokens within any minute, sent and answered.
        rpd: Requests a day.
        tph: Tokens an hour.
        tpd: Tokens a day.
        tokens: Tokens, ever.
        concurrency: Calls at the same time.
        usd_per_hour: Dollars an hour.
        usd_per_day: Dollars a day.
        usd_per_month: Dollars a month.
        usd: Dollars, ever.
    """

    rpm: Positive | None = None
    tpm: Positive | None = None
    rpd: Positive | None = None
    tph: Positive | None = None
    tpd: Positive | None = None
    tokens: Positive | None = None
    concurrency: Positive | None = None
    usd_per_hour: Usd | None = None
    usd_per_day: Usd | None = None
    usd_per_month: Usd | None = None
    usd: Usd | None = None

    def limits(self, owner: str, utc_offset_s: int = 0) -> dict[str, Limit]:
        """The limits by the name of their field; their keys begin with the owner."""
        made: dict[str, Limit] = {}
        for name in ("rpm", "tpm", "concurrency"):
            if (amount := getattr(self, name)) is not None:
                kind = "concurrency" if name == "concurrency" else "rate"
                made[name] = Limit(key=f"{owner}/{name}", amount=amount, kind=kind)
        for name, period in COUNTED.items():
            if (amount := getattr(self, name)) is not None:
                made[name] = Limit(
                    key=f"{owner}/{name}", amount=amount, kind="calendar", period=period, utc_offset_s=utc_offset_s
                )
        for name, period in MONEY.items():
            if (usd := getattr(self, name)) is not None:
                made[name] = Limit(
                    key=f"{owner}/{name}",
                    amount=int(usd * USD_UNIT),
                    kind="calendar",
                    period=period,
                    utc_offset_s=utc_offset_s,
                )
        return made

    @property
    def has_budget(self) -> bool:
        """Whether money is limited."""
        return any(getattr(self, name) is not None for name in MONEY)


COUNTED: dict[str, Period] = {"rpd": "day", "tph": "hour", "tpd": "day", "tokens": "ever"}
"""The fields of a quota that count requests or tokens, and their period."""

TOKENS = frozenset(("tpm", "tph", "tpd", "tokens"))
"""The fields of a quota that are tokens."""

MONEY: dict[str, Period] = {"usd_per_hour": "hour", "usd_per_day": "day", "usd_per_month": "month", "usd": "ever"}
"""The fields of a quota that are money, and their period."""


class Model(Frozen):
    """A model of an account.

    Attributes:
        name: What the provider calls it; None where the key in `models` is its name there too.
        tiers: What it is good enough for.
        context_tokens: The most tokens sent and answered together.
        max_output_tokens: The most it answers.
        default_output_tokens: The most it is asked to answer where the caller does not say. So much of every limit and
            budget is held while a call runs, so that the most it could answer would let few calls run at once.
        price: What it costs; None when unknown: then it is not used where a budget applies.
        quota: Limits of this model in this account.
        tokenizer: `tokenizer.json` file, or a folder with one, that counts its tokens exactly; else they are
            estimated, rather too many than too few.
        max_tokens_field: What the server calls the most tokens to answer.
    """

    name: str | None = None
    tiers: tuple[Tier, ...] = ("simple", "moderate")
    context_tokens: Positive = 32_768
    max_output_tokens: Positive = 4_096
    default_output_tokens: Positive = 8_192
    price: Price | None = None
    quota: Quota = Quota()
    tokenizer: str | None = None
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"

    def output_tokens(self, asked: int | None) -> int:
        """The most tokens of an answer, of which a caller asked for so many; None when it did not say."""
        return min(asked or self.default_output_tokens, self.max_output_tokens)


class Account(Frozen):
    """One key at one provider.

    Attributes:
        name: Ours; limits and books go by it.
        provider: One of `PROVIDERS`.
        base_url: Instead of the provider's.
        key: Where its secret is: `env:NAME`, `prefect:BLOCK` (a Prefect secret block), `file:PATH#NAME` (a file made
            by `c500 accounts seal`), or `none`.
        models: By the name that callers use.
        quota: Limits of the account over all its models.
        day_utc_offset_h: When its day begins, in hours east of UTC (OpenAI: 0, Gemini: -8).
        timeout_s: The longest a call may take.
        enabled: Whether it is used.
        labels: For choosing sets of accounts, as in `c500 swarm --accounts label`.
    """

    name: AccountName
    provider: Annotated[str, AfterValidator(_known)]
    base_url: AnyHttpUrl | None = None
    key: SecretReference
    models: Annotated[dict[Name, Model], Field(min_length=1)]
    quota: Quota = Quota()
    day_utc_offset_h: Annotated[float, Field(ge=-14, le=14)] = 0
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 120
    enabled: bool = True
    labels: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _has_address(self) -> "Account":
        if self.base_url is None and PROVIDERS[self.provider].base_url is None:
            raise ValueError(f"base_url is needed: every {self.provider} server has its own")
        return self

    @property
    def url(self) -> str:
        """Where its API is, without a slash at the end."""
        return str(self.base_url or PROVIDERS[self.provider].base_url).rstrip("/")

    @property
    def dialect(self) -> Dialect:
        """The API it speaks."""
        return PROVIDERS[self.provider].dialect

    @property
    def utc_offset_s(self) -> int:
        """When its day begins, in seconds east of UTC."""
        return int(self.day_utc_offset_h * 3600)


class Budgets(Frozen):
    """What callers may use of all accounts together.

    Attributes:
        everyone: All callers together.
        user: Every user, unless named in `users`.
        users: Single users.
        session: Every session.
    """

    everyone: Quota = Quota()
    user: Quota = Quota()
    users: dict[str, Quota] = Field(default_factory=dict)
    session: Quota = Quota()


def _compiles(pattern: str) -> str:
    try:
        re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(f"it is no regular expression: {error}") from None
    return pattern


class TierRule(Frozen):
    """When a request is of a tier; all conditions that are given must hold.

    Attributes:
        tier: The tier.
        max_prompt_tokens: The prompt is no longer.
        min_prompt_tokens: The prompt is no shorter.
        has_tools: Whether the request offers tools.
        has_schema: Whether the request asks for JSON of a schema.
        pattern: Regular expression that is found in the last message, letter case aside.
    """

    tier: Tier
    max_prompt_tokens: int | None = None
    min_prompt_tokens: int | None = None
    has_tools: bool | None = None
    has_schema: bool | None = None
    pattern: Annotated[str, AfterValidator(_compiles)] | None = None


class Routing(Frozen):
    """How a call finds its account.

    Attributes:
        rules: The first that holds gives the tier of a request that names none; `moderate` when none holds.
        fallbacks: Models to try instead of a model, in order, when none of its accounts can serve.
        sticky: Whether calls of a session stay with their account while it can serve, for the provider's cache.
        attempts: How often a call is tried at most, each time at another account where there is one.
        hedge: Whether a call that takes longer than 95 of 100 is sent to a second account too.
    """

    rules: tuple[TierRule, ...] = ()
    fallbacks: dict[Name, tuple[Name, ...]] = Field(default_factory=dict)
    sticky: bool = False
    attempts: Annotated[int, Field(ge=1, le=20)] = 4
    hedge: bool = False


class Accounts(Frozen):
    """The whole file."""

    accounts: Annotated[tuple[Account, ...], Field(min_length=1)]
    budgets: Budgets = Budgets()
    routing: Routing = Routing()

    @model_validator(mode="after")
    def _fits_together(self) -> "Accounts":
        if faults := [*self._named_twice(), *self._unknown_fallbacks()]:
            raise faulty(faults)
        return self

    def _named_twice(self) -> Iterator[Fault]:
        first: dict[str, int] = {}
        for number, account in enumerate(self.accounts):
            before = first.setdefault(account.name, number)
            if before != number:
                told = f"two accounts are named {account.name}"
                yield Fault(("accounts", number, "name"), told, ("accounts", before, "name"))

    def _unknown_fallbacks(self) -> Iterator[Fault]:
        known = {model for account in self.accounts for model in account.models}
        for name, others in self.routing.fallbacks.items():
            place = ("routing", "fallbacks", name)
            for number, other in enumerate((name, *others)):
                if other not in known:
                    told = f"no account has the model {other}"
                    yield Fault(place if number == 0 else (*place, number - 1), told)
