"""The rules of agents: one verdict for every action, the strictest of all rules that are about it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

from blocks.action import Action, canonical
from blocks.errors import BadInput, NotFound, StoreFailed
from blocks.policy.activation import active
from blocks.policy.facts import Facts, Refused
from blocks.policy.hosts import host_pattern
from blocks.policy.match import covers, named, touches
from blocks.policy.programs import known_programs
from blocks.policy.read import BUILT_IN, parse_rules, read_rules, shipped, unknown_profiles
from blocks.policy.rule import Default, Flow, PolicyFile, Profile, Rule
from blocks.policy.verdict import DEFAULT, Decision, Persons, Verdict, strictest, unattended

NAMES_ONLY = {"tools", "tools_except"}


@dataclass(frozen=True)
class Policy:
    """Rules, and the place where they are put to use.

    Attributes:
        content: The rules.
        workspace: Real path of the agent's files, `{workspace}` in rules.
        state: Folder where it is written which expiring profile is in force.
    """

    content: PolicyFile
    workspace: Path | None = None
    state: Path | None = None

    @staticmethod
    def read(path: Path | None = None) -> "Policy":
        """The shipped rules, with those of a file where one is named.

        Raises:
            NotFound: there is no such file.
            BadInput: it is wrong; `details["problems"]` has every fault with its line.
        """
        return Policy(shipped() if path is None else read_rules(path))

    @staticmethod
    def parse(text: str, name: str = "policy.yaml") -> "Policy":
        """The shipped rules with those of a file's text; see `read`."""
        return Policy(parse_rules(text, name))

    def placed(self, *, workspace: Path | None = None, state: Path | None = None) -> "Policy":
        """The same rules at work for a run; without a workspace, no rule that needs it allows anything.

        Args:
            workspace: Folder of the agent's files.
            state: Folder where `activate` writes; without it no expiring profile is in force.
        """
        return replace(self, workspace=workspace.resolve() if workspace else None, state=state)

    def with_rules(self, rules: Iterable[Rule], by: str = "the agent") -> "Policy":
        """The policy narrowed by rules of somebody who may not widen it.

        Args:
            rules: What comes to it; rules that deny, forbid or ask.
            by: Whose they are, for messages.

        Raises:
            BadInput: a rule would allow something, has an id that there is, or names a profile that there is not.
        """
        more = tuple(rules)
        taken = {*BUILT_IN, *(rule.id for rule in self.content.rules)}
        for rule in more:
            faults = [fault for _, fault in unknown_profiles(rule, self.profiles)]
            if rule.widens:
                faults.append(f"rules of {by} cannot {rule.verdict}; they deny, forbid or ask")
            if rule.id in taken:
                faults.append("there is a rule with this id")
            if faults:
                raise BadInput(f"rule {rule.id}: {'; '.join(faults)}", fix="correct the rule", field="rules")
            taken.add(rule.id)
        return replace(self, content=self.content.model_copy(update={"rules": (*self.content.rules, *more)}))

    @cached_property
    def version(self) -> str:
        """SHA-256 over all that decides, hexadecimal: the same for the same rules in any order and layout."""
        told = canonical(_sorted(self.content.model_dump(mode="json")))
        return sha256(f"{_of_programs()}\n{told}".encode()).hexdigest()

    @property
    def profiles(self) -> Mapping[str, Profile]:
        """The profiles, by name."""
        return self.content.profiles

    def decide(self, action: Action, profile: str, *, now: datetime, attended: bool) -> Decision:
        """What becomes of an action.

        Args:
            action: The action.
            profile: The profile that was asked for.
            now: The time, with its zone.
            attended: Whether anybody can be asked; else what needs a person is denied.

        Raises:
            NotFound: there is no such profile.
            BadInput: the time has no zone.
        """
        if now.tzinfo is None:
            raise BadInput("the time has no zone", fix="give datetime.now(UTC)", field="now")
        in_force = self.in_force(profile, now)
        decision = strictest(self._opinions(action, in_force, now))
        reason = decision.reason
        if in_force != profile:
            reason = f"{profile} is not in force, so {in_force} is: {reason}"
        placed = {"policy_version": self.version, "profile": in_force, "reason": reason}
        decision = decision.model_copy(update=placed)
        return decision if attended else unattended(decision)

    def in_force(self, profile: str, now: datetime | None = None) -> str:
        """The profile that holds: the one asked for, or where it expires and is not in force, what it falls back to.

        Raises:
            NotFound: there is no such profile.
        """
        found = self._profile(profile)
        if found.falls_back_to is None or self._is_active(profile, found, now or datetime.now(UTC)):
            return profile
        return found.falls_back_to

    def visible(self, names: Iterable[str], profile: str) -> tuple[str, ...]:
        """Those tools that are not refused whatever they are told; the others need not be shown to a model."""
        in_force = self.in_force(profile)
        hiding = [
            rule
            for rule in self._rules(in_force)
            if rule.verdict in ("deny", "forbid") and rule.conditions <= NAMES_ONLY
        ]
        return tuple(name for name in names if not any(named(name, one.tools, one.tools_except) for one in hiding))

    def sandboxed(self, profile: str) -> Literal["bubblewrap", "restricted"]:
        """The weakest sandbox in which programs may run."""
        return self._profile(self.in_force(profile)).sandbox

    def dry_run(self, profile: str) -> bool:
        """Whether agents only plan."""
        return self._profile(self.in_force(profile)).dry_run

    def _profile(self, name: str) -> Profile:
        if name not in self.profiles:
            known = ", ".join(sorted(self.profiles))
            raise NotFound(f"there is no profile {name[:32]!r}", fix=f"use one of {known}", field="profile")
        return self.profiles[name]

    def _is_active(self, name: str, profile: Profile, now: datetime) -> bool:
        try:
            activation = None if self.state is None else active(self.state, now)
        except StoreFailed:  # what cannot be read is not in force: the stricter profile is
            return False
        if activation is None or activation.profile != name:
            return False
        return (activation.until - activation.at).total_seconds() <= profile.lasts_at_most_s

    def _rules(self, profile: str) -> Iterator[Rule]:
        return (rule for rule in self.content.rules if not rule.profiles or profile in rule.profiles)

    def _opinions(self, action: Action, profile: str, now: datetime) -> Iterator[Decision]:
        """What everything that has a say in an action says; at least one."""
        try:
            facts = Facts(action, now, None if self.workspace is None else str(self.workspace))
            rules = list(self._rules(profile))
            allowing = [_said(rule) for rule in rules if rule.widens and covers(rule, facts)]
            yield from allowing or [self._default(facts)]
            yield from (_said(rule) for rule in rules if rule.verdict != "allow" and touches(rule, facts))
            yield from (_said(flow) for flow in self.content.flows if facts.goes_out and flow.labels <= action.labels)
            yield from self._private(facts)
        except Refused as error:
            yield Decision(verdict="deny", rule=error.rule, reason=error.reason)
        if not action.known:
            reason = f"{action.tool} is not in the registry of tools, so a person is asked"
            yield Decision(verdict="ask", rule="unknown-tool", reason=reason)

    def _default(self, facts: Facts) -> Decision:
        action, default = facts.action, self.content.default or Default()
        if action.known and action.read_only and action.risk == "low" and not facts.goes_out:
            return _built_in(default.harmless, f"{action.tool} only reads, and at low risk")
        return _built_in(default.other, f"no rule allows this use of {action.tool}, so a person is asked")

    def _private(self, facts: Facts) -> Iterator[Decision]:
        known = [host_pattern(text) for text in self.content.private_hosts]
        for host in facts.hosts:
            if host.is_private and not any(one.is_surely(host) for one in known):
                reason = f"{host.name} is of this machine or a private network, and not among private_hosts"
                yield Decision(verdict="deny", rule="private-address", reason=reason)


def _said(rule: Rule | Flow) -> Decision:
    name = f"flow:{rule.id}" if isinstance(rule, Flow) else rule.id
    persons: Persons = rule.persons
    kind = "flow rule" if isinstance(rule, Flow) else "rule"
    return Decision(verdict=rule.verdict, rule=name, reason=f"{kind} {rule.id}: {rule.reason}", persons=persons)


def _built_in(verdict: Verdict, reason: str) -> Decision:
    return Decision(verdict=verdict, rule=DEFAULT, reason=reason)


@lru_cache(maxsize=1)
def _of_programs() -> str:
    """What is known of programs decides, too."""
    return canonical(_sorted(known_programs().model_dump(mode="json")))


def _sorted(value: Any) -> Any:
    """JSON whose lists stand in one order, whatever order they were written in: all of a policy's are sets."""
    if isinstance(value, dict):
        return {key: _sorted(inner) for key, inner in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list):
        return sorted((_sorted(inner) for inner in value), key=canonical)  # pyright: ignore[reportUnknownVariableType]
    return value
