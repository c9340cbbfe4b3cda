"""One simulated account: what it takes, what it refuses, and its books."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from blocks.accounts.account import Account, Model
from deployments.simulator.answers import answer_to
from deployments.simulator.asked import Answer, Asked, Limited, Refusal, Standing, mapping
from deployments.simulator.behaviour import UNDELIVERED, Behaviour, Fault
from deployments.simulator.books import Book
from deployments.simulator.chance import Luck, fingerprint, normal
from deployments.simulator.clock import Clock
from deployments.simulator.slots import Slots
from deployments.simulator.vllm_metrics import VllmMetrics
from deployments.simulator.windows import Windows


@dataclass
class Served:
    """A model of the account, by the name the provider calls it."""

    model: Model
    windows: Windows
    book: Book


class Tenant:
    """An account at the simulator.

    Args:
        account: As accounts.yaml describes it.
        behaviour: How it behaves.
        attempts: How often what was asked, shared by all accounts: a second attempt elsewhere has luck of its own.

    Attributes:
        too_many: Requests that would have passed a limit, of the account or of a model.
        slots: What calls wait for that it cannot work on yet.
        metrics: What a vLLM server tells of its latencies; None of others.
    """

    def __init__(self, account: Account, behaviour: Behaviour, attempts: dict[bytes, int]) -> None:
        self.account = account
        self.behaviour = behaviour
        self.clock = Clock(behaviour.drift)
        self.slots = Slots(behaviour.slots)
        self._attempts = attempts
        self.reset()

    def reset(self) -> None:
        """Forget all use and all books; the faults that are next begin anew."""
        self._next_faults = Counter(self.behaviour.next_faults)
        self.book = Book()
        self.too_many = 0
        self.metrics = VllmMetrics() if self.account.provider == "vllm" else None
        self.windows = self._windows(None, self.account)
        self.models: dict[str, Served] = {}
        for name, model in self.account.models.items():
            wire_name = model.name or name
            self.models.setdefault(wire_name, Served(model, self._windows(wire_name, model), Book()))

    def change(self, changes: dict[str, Any]) -> None:
        """Behave otherwise from now on.

        Raises:
            ValidationError: a value is wrong; nothing changes then.
        """
        self.behaviour = self.behaviour.changed(changes)
        if "next_faults" in changes:
            self._next_faults = Counter(self.behaviour.next_faults)
        if "drift" in changes:
            self.clock.set(self.behaviour.drift)
        self.slots.set(self.behaviour.slots)
        lengths = self.behaviour.window_s, self.behaviour.day_s
        self.windows.set(self.behaviour.quota or self.account.quota, *lengths)
        for served in self.models.values():
            served.windows.set(served.model.quota, *lengths)

    def opens(self, secret: str | None, *, by_path: bool) -> bool:
        """Whether a secret opens the account; under its own path none is needed, unless there are keys."""
        if self.behaviour.keys is None:
            return by_path or secret == f"sim-{self.account.name}"
        return secret in self.behaviour.keys

    def wrong_with(self, asked: Asked) -> Refusal | None:
        """What is wrong with the request itself."""
        served = self.models.get(asked.model)
        if served is None:
            return Refusal(why="no_model", model=asked.model)
        if (form := mapping(asked.body.get("response_format")).get("type")) in self.behaviour.refused_formats:
            text = f"Invalid parameter: 'response_format' of type '{form}' is not supported with this model."
            return Refusal(why="invalid", model=asked.model, message=text, param="response_format")
        model, most = served.model, asked.max_tokens
        if most is not None and most > model.max_output_tokens:
            tokens = (asked.prompt_tokens, most, model.max_output_tokens)
            return Refusal(why="output", model=asked.model, tokens=tokens)
        # Gemini counts only what it reads.
        together = asked.prompt_tokens + (0 if self.account.dialect == "gemini" else most or 0)
        if together > model.context_tokens:
            tokens = (asked.prompt_tokens, most or 0, model.context_tokens)
            why = "context" if asked.prompt_tokens > model.context_tokens else "context_with_answer"
            return Refusal(why=why, model=asked.model, tokens=tokens)
        return None

    def in_the_way(self, asked: Asked) -> list[Limited]:
        """The limits that the request would pass now, of the account and the model."""
        tokens = asked.prompt_tokens
        if self.behaviour.tpm_rule == "estimate":
            tokens += asked.max_tokens or 0
        return self.windows.in_the_way(tokens) + self.models[asked.model].windows.in_the_way(tokens)

    def count_too_many(self, passed: list[Limited]) -> None:
        """Count a request that would have passed limits."""
        self.too_many += 1
        for limited in passed:
            owner = self.windows if limited.model is None else self.models[limited.model].windows
            owner.count_too_many(limited.window)

    def refused(self, why: str, model: str) -> None:
        """Count a request that is not taken."""
        book = self.models[model].book if model in self.models else self.book
        book.requests += 1
        book.refused[why] += 1

    def begin(self, asked: Asked) -> "Call":
        """Take a request."""
        return Call(self, asked, self._luck(asked))

    def next_fault(self, luck: Luck) -> Fault | None:
        """What goes wrong with the next call: first those that are next, then by chance."""
        for fault, left in self._next_faults.items():
            if left > 0:
                self._next_faults[fault] -= 1
                return fault
        drawn = luck.fault
        for fault, share in self.behaviour.faults.items():
            drawn -= share
            if drawn < 0:
                return fault
        return None

    def standing(self, model: str, kind: str) -> Standing | None:
        """How the tightest limit of `requests` or `tokens` stands, of the account or the model."""
        both = [self.windows.standing(kind)]
        if model in self.models:
            both.append(self.models[model].windows.standing(kind))
        return min((one for one in both if one is not None), key=lambda one: one.remaining, default=None)

    def whole(self) -> Book:
        """The books of the account over all its models."""
        whole = Book()
        whole.add(self.book)
        for served in self.models.values():
            whole.add(served.book)
        return whole

    def told(self) -> dict[str, Any]:
        """The books as JSON: of the account over all its models, and of each."""
        models = {
            name: {**served.book.told(), "windows": served.windows.told()} for name, served in self.models.items()
        }
        windows = self.windows.told()
        return {**self.whole().told(), "too_many": self.too_many, "windows": windows, "models": models}

    def _windows(self, wire_name: str | None, owner: Account | Model) -> Windows:
        quota = self.behaviour.quota if wire_name is None and self.behaviour.quota else owner.quota
        behaviour = self.behaviour
        return Windows(
            quota, self.clock, behaviour.window_s, behaviour.day_s, self.account.utc_offset_s, model=wire_name
        )

    def _luck(self, asked: Asked) -> Luck:
        name = fingerprint(asked.model, *asked.texts)
        attempt = self._attempts.get(name, 0)
        self._attempts[name] = attempt + 1
        return Luck(self.behaviour.seed, name, attempt)


class Call:
    """A request that is within the limits, from its acceptance to its end.

    Attributes:
        asked: The request.
        luck: Its chance.
        fault: What goes wrong with it.
    """

    def __init__(self, tenant: Tenant, asked: Asked, luck: Luck) -> None:
        self.asked = asked
        self.luck = luck
        self.fault: Fault | None = tenant.next_fault(luck)
        self._tenant = tenant
        self._behaviour = tenant.behaviour
        self._served = tenant.models[asked.model]
        self._owners = (tenant.windows, self._served.windows)
        self._ended = False
        self._identity: str | None = None
        book = self._served.book
        book.requests += 1
        book.accepted += 1
        if self.fault is not None:
            book.faults[self.fault] += 1
        for windows in self._owners:
            windows.begin()
            if self._behaviour.tpm_rule == "estimate":
                windows.use(asked.prompt_tokens + (asked.max_tokens or 0))

    @property
    def latency_s(self) -> float:
        """Seconds until its answer begins."""
        slower = self._behaviour.slow_s if self.fault == "slow" else 0.0
        return self._behaviour.latency.seconds(normal(self.luck.latency)) + slower

    def identify(self, identity: str) -> None:
        """Say which request of the caller's it is, for `Book.seen`."""
        self._identity = identity
        self._served.book.seen.setdefault(identity, [0, 0])[0] += 1

    def answer(self) -> Answer:
        """What it gets."""
        return answer_to(self.asked, self._behaviour, self.luck, self.fault)

    def settle(self, answer: Answer, *, delivered: bool) -> None:
        """Charge it, and end it: before the caller can know, so that its next call is not one too many."""
        whole = delivered and self.fault not in UNDELIVERED
        book = self._served.book
        (book.answered if whole else book.undelivered).charge(answer, self._served.model.price)
        if whole and self._identity is not None:
            book.seen[self._identity][1] += 1
        if self._behaviour.tpm_rule == "actual":
            for windows in self._owners:
                windows.use(answer.total_tokens)
        self.end()

    def leave_stream(self, answer: Answer, sent_tokens: int) -> None:
        """Its caller left a stream: it is charged what was sent, unless it was settled before."""
        if not self._ended:
            self.abandon()
            sent = min(answer.completion_tokens, sent_tokens + answer.reasoning_tokens)
            self.settle(replace(answer, completion_tokens=sent), delivered=False)

    def abandon(self) -> None:
        """Its caller went away before its end."""
        if not self._ended:
            self._served.book.abandoned += 1

    def end(self) -> None:
        """It runs no more; a second time changes nothing."""
        if not self._ended:
            self._ended = True
            for windows in self._owners:
                windows.concurrency.end()
