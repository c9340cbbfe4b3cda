"""What rules say of an action, from the strictest to the mildest, and how several opinions become one."""

from collections.abc import Iterable
from typing import Literal

from blocks.model import Frozen

Verdict = Literal["deny", "forbid", "ask", "notify", "allow"]
VERDICTS: tuple[Verdict, ...] = ("deny", "forbid", "ask", "notify", "allow")
"""Strictest first: never; not in this profile; a person must agree; it goes on and is told; it goes on."""

Persons = Literal[1, 2]

DEFAULT = "default"
"""In place of a rule's id, where none is about the action."""


class Decision(Frozen):
    """What was decided of an action.

    Attributes:
        verdict: Whether it may be done.
        rule: Which rule decided: its id, `flow:ID`, or one of `read.BUILT_IN`.
        reason: Why, for people and for the model.
        persons: How many different persons must agree, where one is asked.
        policy_version: Of the rules that decided.
        profile: Which profile was in force: not the one asked for where that has expired.
    """

    verdict: Verdict
    rule: str
    reason: str
    persons: Persons = 1
    policy_version: str = ""
    profile: str = ""


def strictest(decisions: Iterable[Decision]) -> Decision:
    """The one that holds: the strictest, of equals the one that asks more persons, a rule, the first by its id."""
    return min(decisions, key=lambda one: (VERDICTS.index(one.verdict), -one.persons, one.rule == DEFAULT, one.rule))


def narrowed(decision: Decision, by: Decision) -> Decision:
    """A decision after somebody else was heard, as a governor agent, who can make it stricter and never milder.

    Args:
        decision: Of the policy.
        by: The other opinion; its `rule` says whose, as `governor:NAME`.
    """
    if VERDICTS.index(by.verdict) < VERDICTS.index(decision.verdict):
        return by.model_copy(update={"policy_version": decision.policy_version, "profile": decision.profile})
    if by.verdict == decision.verdict == "ask" and by.persons > decision.persons:
        reason = f"{decision.reason}; {by.rule} wants {by.persons} persons to agree"
        return decision.model_copy(update={"persons": by.persons, "reason": reason})
    return decision


def unattended(decision: Decision) -> Decision:
    """A decision where nobody can be asked: what needs a person is denied."""
    if decision.verdict != "ask":
        return decision
    reason = f"a person would have to agree, and nobody is there to be asked ({decision.reason})"
    return decision.model_copy(update={"verdict": "deny", "rule": "unattended", "reason": reason, "persons": 1})
