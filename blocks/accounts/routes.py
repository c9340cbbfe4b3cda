"""Which accounts may serve a call, and what it asks of their limits."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, zip_longest

from blocks.accounts.account import MONEY, TIERS, TOKENS, USD_UNIT, Account, Accounts, Model, Quota, Tier
from blocks.accounts.breaker import Breaker
from blocks.accounts.chat import UNBOUNDED, Caller, ChatRequest
from blocks.accounts.failure import Failure
from blocks.accounts.tier import OTHERWISE, tier_of
from blocks.accounts.tokens import prompt_tokens
from blocks.errors import BudgetExceeded, TooLarge, Unsupported
from blocks.limits.limit import Charge, Limit, Option

LATENCY_WEIGHT = 0.2
"""Weight of the newest call in a route's moving mean of latency."""


Measured = tuple[tuple[Limit, int], ...]
"""Limits, each with the number of what it measures: 0 calls, 1 tokens, 2 money."""


def measured(limits: Mapping[str, Limit]) -> Measured:
    """What each limit measures, by the name of its field of `Quota`."""
    return tuple((limit, _unit(name)) for name, limit in limits.items())


def _unit(name: str) -> int:
    """What a limit measures, by the name of its field of `Quota`: 0 requests, 1 tokens, 2 money."""
    return 2 if name in MONEY else 1 if name in TOKENS else 0


@dataclass(eq=False)
class Route:
    """A model of an account, with what this process has seen of it.

    Attributes:
        account: The account.
        key: Its identity.
        name: The model's name in `accounts.yaml`.
        model: Its entry.
        limits: Limits of account and model, by the name of their field of `Quota`: (account's, model's).
        breaker: Its circuit breaker.
        latency_s: Moving mean of its calls, in seconds; 0 before the first.
        fault: The last failure that counted against its health; None when a call was answered since.
        measured: What its limits measure.
    """

    account: Account
    name: str
    model: Model
    limits: tuple[dict[str, Limit], dict[str, Limit]]
    breaker: Breaker = field(default_factory=Breaker)
    latency_s: float = 0.0
    fault: Failure | None = None
    key: str = field(init=False)
    measured: Measured = field(init=False)
    _tokens_at_once: int | None = field(init=False)

    def __post_init__(self) -> None:
        self.key = f"{self.account.name}/{self.name}"
        self.measured = measured(self.limits[0]) + measured(self.limits[1])
        self._tokens_at_once = min((limit.amount for limit, what in self.measured if what == 1), default=None)

    def output_tokens(self, asked: int | None, prompt: int) -> int | None:
        """The most tokens of an answer; None when the model has no room for it.

        Args:
            asked: The most that the caller wants; when it does not say, less will do where a limit is small.
            prompt: Tokens of the prompt.
        """
        room = self.model.context_tokens - prompt
        wanted = self.model.output_tokens(asked)
        if room < min(wanted, asked or 1):
            return None
        if asked is None and self._tokens_at_once is not None:
            wanted = min(wanted, max(1, self._tokens_at_once - prompt))
        return min(wanted, room)

    def took(self, latency_s: float) -> None:
        """A call took so long."""
        self.latency_s += (latency_s - self.latency_s) * (LATENCY_WEIGHT if self.latency_s else 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A way to make a call.

    Attributes:
        route: Where.
        request: What is asked.
        prompt_tokens: Tokens of its prompt, estimated rather high.
        output_tokens: The most tokens it may answer.
        option: What it asks of the limits.
        cost_units: The most it costs, in 10^-9 dollars; None when the price is unknown.
    """

    route: Route
    request: ChatRequest
    prompt_tokens: int
    output_tokens: int
    option: Option
    cost_units: int | None


def routes_of(accounts: Accounts) -> list[Route]:
    """All routes of the accounts that are enabled."""
    return [
        Route(
            account=account,
            name=name,
            model=model,
            limits=(
                account.quota.limits(f"account/{account.name}", account.utc_offset_s),
                model.quota.limits(f"account/{account.name}/{name}", account.utc_offset_s),
            ),
        )
        for account in accounts.accounts
        if account.enabled
        for name, model in account.models.items()
    ]


def candidates(routes: Sequence[Route], accounts: Accounts, request: ChatRequest, caller: Caller) -> list[list[Route]]:
    """The routes that may serve a request, in groups: a later group only when no route of an earlier one can.

    Raises:
        Unsupported: no account has such a model, or is of such a label.
    """
    allowed = [route for route in routes if _labelled(route.account, caller.labels)]
    if caller.labels and not allowed:
        raise Unsupported(
            f"no account is named or labelled {', '.join(caller.labels)}", fix="see c500 accounts list", field="labels"
        )
    if request.model is not None:
        names = (request.model, *accounts.routing.fallbacks.get(request.model, ()))
        groups = [[route for route in allowed if route.name == name] for name in names]
    else:
        wanted = tier_of(request, prompt_tokens(request, Model()), accounts.routing.rules)
        # Models that are good enough; those that are more than enough only when nothing else can.
        groups, taken = [], set[str]()
        for tier in TIERS[TIERS.index(wanted) :]:
            groups.append([route for route in allowed if tier in route.model.tiers and route.key not in taken])
            taken |= {route.key for route in groups[-1]}
    groups = [group for group in groups if group]
    if not groups:
        raise _nobody(request, allowed)
    return groups


def _nobody(request: ChatRequest, allowed: Iterable[Route]) -> Unsupported:
    """That no route has the model, or is good enough for the tier."""
    if request.model is not None:
        known = ", ".join(sorted({route.name for route in allowed})) or "none"
        return Unsupported(f"no account has model {request.model!r}", fix=f"known are: {known}", field="model")
    tiers = {f"{route.name} ({', '.join(route.model.tiers) or 'no tier'})" for route in allowed}
    asked = f"tier {request.tier} or a higher one" if request.tier else "the tier that routing.rules give"
    return Unsupported(
        f"no account has a model of {asked}",
        fix=f"name the tier among `tiers` of a model in accounts.yaml, or ask for a model; they are: "
        f"{', '.join(sorted(tiers)) or 'none'}",
        field="tier",
    )


def check_choice(
    accounts: Accounts, labels: Sequence[str] = (), model: str | None = None, tier: Tier | None = None
) -> None:
    """Refuse a choice that no account can serve, before anything is started for it.

    Args:
        accounts: The file.
        labels: Labels or names of accounts; empty for all.
        model: A model's name; None where the tier decides.
        tier: A tier; None for any.

    Raises:
        Unsupported: as `candidates`.
    """
    request = ChatRequest(messages=({"role": "user", "content": ""},), model=model, tier=tier or "simple")
    candidates(routes_of(accounts), accounts, request, Caller(labels=tuple(labels)))


def reachable(
    routes: Sequence[Route],
    accounts: Accounts,
    requests: Sequence[ChatRequest],
    tokens: Sequence[int],
    caller: Caller,
) -> list[list[Route]]:
    """All routes that requests which differ in their text only may take, in groups as `candidates` gives them.

    Args:
        routes: Of the pool.
        accounts: What `accounts.yaml` says.
        requests: Some of them. Where the rules choose the tier, others may be of another one: the routes that only
            such may take are the last group.
        tokens: Of the prompt of each, which may be longer than it is given here.
        caller: For whom.

    Raises:
        Unsupported: as `candidates`.
    """
    one, rules = requests[0], accounts.routing.rules
    if one.model is not None or one.tier is not None:
        asked, possible = [one], one
    else:
        seen = {tier_of(request, size, rules) for request, size in zip(requests, tokens, strict=True)}
        asked = [one.model_copy(update={"tier": tier}) for tier in TIERS if tier in seen]
        lowest = min((*seen, OTHERWISE, *(rule.tier for rule in rules)), key=TIERS.index)
        possible = one.model_copy(update={"tier": lowest})
    ways = [candidates(routes, accounts, request, caller) for request in asked]
    chosen = [list(chain.from_iterable(groups)) for groups in zip_longest(*ways, fillvalue=())]
    chosen.append(list(chain.from_iterable(candidates(routes, accounts, possible, caller))))
    groups, taken = list[list[Route]](), set[str]()
    for group in chosen:
        groups.append([*{route.key: route for route in group if route.key not in taken}.values()])
        taken |= {route.key for route in group}
    return [group for group in groups if group]


def plan(route: Route, request: ChatRequest, tokens: int, budgets: Measured) -> Plan | None:
    """How a route would make the call; None when it does not fit into the model's context.

    Args:
        route: Where.
        request: What is asked.
        tokens: Tokens of its prompt, as this route's model counts.
        budgets: Those that apply to the caller, as `budgets_of` gives them.
    """
    output = route.output_tokens(request.max_output_tokens, tokens)
    if output is None:
        return None
    price = route.model.price
    cost = price.cost_units(tokens, output) if price else None
    amounts = (1, tokens + output, cost or 0)
    charges = tuple([Charge(limit, amounts[what]) for limit, what in route.measured + budgets])
    return Plan(
        route=route,
        request=request,
        prompt_tokens=tokens,
        output_tokens=output,
        option=Option(route.key, charges),
        cost_units=cost,
    )


def counter(request: ChatRequest) -> Callable[[Model], int]:
    """Counts the tokens of a request's prompt for models; once for each tokenizer."""
    known: dict[str | None, int] = {}

    def count(model: Model) -> int:
        if model.tokenizer not in known:
            known[model.tokenizer] = prompt_tokens(request, model)
        return known[model.tokenizer]

    return count


def used_of(option: Option, tokens: int, cost_units: int) -> dict[str, int]:
    """What a call used of each of its limits, by key."""
    used: dict[str, int] = {}
    for charge in option.charges:
        name = charge.limit.key.rsplit("/", 1)[-1]
        used[charge.limit.key] = cost_units if name in MONEY else tokens if name in TOKENS else 1
    return used


def too_long(request: ChatRequest, routes: Iterable[Route]) -> TooLarge:
    """The error for a request that fits none of the models; it says by how much."""
    widest = max(routes, key=lambda route: route.model.context_tokens)
    tokens = prompt_tokens(request, widest.model)
    output = min(request.max_output_tokens or 1, widest.model.max_output_tokens)
    over = tokens + output - widest.model.context_tokens
    return TooLarge(
        f"the request has about {tokens} tokens and asks for {output}: {over} more than {widest.name} takes",
        fix="shorten it, have its history trimmed, or have it split (map-reduce)",
        field="messages",
        prompt_tokens=tokens,
        over_tokens=over,
        context_tokens=widest.model.context_tokens,
    )


def unpriced(names: Iterable[str]) -> BudgetExceeded:
    """The error for models without a price where money is limited."""
    return BudgetExceeded(
        f"a budget applies, and the price of {', '.join(sorted(set(names)))} is unknown",
        fix="give the models a price in accounts.yaml",
        field="price",
    )


def quotas_of(accounts: Accounts, caller: Caller) -> dict[str, Quota]:
    """The budgets that apply to a caller, by the owner of their limits."""
    budgets = accounts.budgets
    quotas = {"everyone": budgets.everyone, f"user/{caller.user}": budgets.users.get(caller.user, budgets.user)}
    if caller.session:
        quotas[f"session/{caller.session}"] = budgets.session
    return quotas


def budgets_of(accounts: Accounts, caller: Caller) -> Measured:
    """The limits of the budgets that apply to a caller, and of its purse."""
    budgets = tuple(
        one
        for owner, quota in quotas_of(accounts, caller).items()
        for one in _measured_of(quota, owner)  # pyright: ignore[reportArgumentType] - a frozen record has a hash
    )
    if not caller.purse:
        return budgets
    return (*budgets, *((limit, _unit(limit.key.rsplit("/", 1)[-1])) for limit in caller.purse))


def has_budget(route: Route, accounts: Accounts, caller: Caller) -> bool:
    """Whether money is limited for such a call."""
    if any(limit.amount < UNBOUNDED and limit.key.endswith("usd") for limit in caller.purse):
        return True
    quotas = (route.account.quota, route.model.quota, *quotas_of(accounts, caller).values())
    return any(quota.has_budget for quota in quotas)


def is_affordable(route: Route, accounts: Accounts, caller: Caller) -> bool:
    """Whether such a call may be made: where money is limited, its price must be known."""
    return route.model.price is not None or not has_budget(route, accounts, caller)


@lru_cache(maxsize=10_000)
def _measured_of(quota: Quota, owner: str) -> Measured:
    return measured(quota.limits(owner))


def _labelled(account: Account, labels: Sequence[str]) -> bool:
    return not labels or account.name in labels or not set(labels).isdisjoint(account.labels)


def in_dollars(units: int | None) -> float | None:
    """An amount of 10^-9 dollars in dollars."""
    return None if units is None else units / USD_UNIT
