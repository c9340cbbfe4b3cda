"""What holds for all rules and all actions: more rules never let more through than somebody wanted."""

import random
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blocks.action import RISKS, Action, Touched
from blocks.policy import VERDICTS, Decision, Policy, Rule, narrowed, unattended
from blocks.policy.rule import Flow, PolicyFile, Profile

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
FEW = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

TOOLS = ("read_file", "write_file", "run_command", "http_get")
PATHS = ("/w/a", "/w/b/c", "/etc/x", "/w/.env")
GLOBS = ("/w/**", "**/.env", "/etc/*", "**")
HOSTS = ("example.com:443", "a.example.com:80", "10.0.0.1:443", "[::1]:80", "93.184.216.34:443")
PATTERNS = ("*", "example.com", "*.example.com", "10.0.0.0/8", "a.example.com:*")
ARGVS = (("ls", "-la"), ("rm", "-rf", "/w/a"), ("env", "rm", "x"), ("sh", "-c", "rm x; ls"), ("git", "log"), None)
COMMANDS = (
    {"programs": ("ls",)},
    {"programs": ("rm",), "flags": ("-r", "-f", "-v")},
    {"programs": ("git",), "words": ("log",)},
    {"programs": ("sh", "env"), "runs_programs": True},
)


def some(values: Any) -> st.SearchStrategy[Any]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2, unique_by=str).map(tuple)


CONDITIONS = st.fixed_dictionaries(
    {"tools": some((*TOOLS, "*", "*_file"))},
    optional={
        "risk_at_least": st.sampled_from(RISKS),
        "read_only": st.booleans(),
        "outside": st.booleans(),
        "paths": some(GLOBS),
        "reads": some(GLOBS),
        "writes": some(GLOBS),
        "hosts": some(PATTERNS),
        "commands": some(COMMANDS),
        "size_above_bytes": st.just(10),
        "users": some(("ann", "b*")),
        "labels": some(("untrusted", "private")),
        "profiles": some(("calm", "wild")),
    },
)


def rules(name: str, *verdicts: str) -> st.SearchStrategy[list[Rule]]:
    def made(drawn: list[tuple[str, dict[str, Any]]]) -> list[Rule]:
        return [
            Rule.model_validate(
                {key: value for key, value in given.items() if not (verdict == "deny" and key == "profiles")}
                | {"id": f"{name}-{number}", "verdict": verdict, "reason": "because"}
            )
            for number, (verdict, given) in enumerate(drawn)
        ]

    return st.lists(st.tuples(st.sampled_from(verdicts), CONDITIONS), max_size=5).map(made)


ANY_RULES = rules("first", *VERDICTS)
MORE_RULES = rules("more", *VERDICTS)
STRICT_RULES = rules("strict", "deny", "forbid", "ask")

ACTIONS = st.builds(
    Action,
    tool=st.sampled_from((*TOOLS, "other")),
    arguments=st.just({}),
    risk=st.sampled_from(RISKS),
    known=st.booleans(),
    read_only=st.booleans(),
    outside=st.booleans(),
    labels=st.frozensets(st.sampled_from(("untrusted", "private"))),
    user=st.sampled_from(("ann", "bob")),
    touched=st.builds(
        Touched,
        reads=some(PATHS) | st.just(()),
        writes=some(PATHS) | st.just(()),
        hosts=some(HOSTS) | st.just(()),
        argv=st.sampled_from(ARGVS),
        size_bytes=st.sampled_from((None, 1, 100)),
    ),
)


def policy(*parts: list[Rule]) -> Policy:
    return Policy(
        PolicyFile(
            profiles={"calm": Profile(about="calm"), "wild": Profile(about="wild")},
            flows=(Flow(id="two", verdict="ask", reason="because", labels=frozenset({"untrusted", "private"})),),
            rules=tuple(rule for part in parts for rule in part),
            private_hosts=("10.0.0.1",),
        )
    )


def decided(rules_at_work: Policy, action: Action, *, attended: bool = True) -> Decision:
    return rules_at_work.decide(action, "calm", now=NOW, attended=attended)


def rank(decision: Decision) -> int:
    return VERDICTS.index(decision.verdict)


@FEW
@given(ANY_RULES, MORE_RULES, ACTIONS, st.booleans())
def test_widening_never_turns_a_deny_into_anything_else(
    some_rules: list[Rule], more: list[Rule], action: Action, attended: bool
) -> None:
    before = decided(policy(some_rules), action, attended=attended)
    after = decided(policy(some_rules, more), action, attended=attended)
    # What was denied only because nobody could be asked was a question, which a rule may answer.
    if before.verdict == "deny" and before.rule != "unattended":
        assert after.verdict == "deny"


@FEW
@given(ANY_RULES, STRICT_RULES, ACTIONS, st.booleans())
def test_rules_that_deny_forbid_or_ask_never_make_a_verdict_milder(
    some_rules: list[Rule], more: list[Rule], action: Action, attended: bool
) -> None:
    before = decided(policy(some_rules), action, attended=attended)
    after = decided(policy(some_rules).with_rules(more), action, attended=attended)
    if attended:
        assert rank(after) <= rank(before)
    else:  # where nobody can be asked, deny and forbid both end it
        assert before.verdict not in ("deny", "forbid") or after.verdict in ("deny", "forbid")
    assert after.verdict != "ask" or before.verdict != "ask" or after.persons >= before.persons


@FEW
@given(ANY_RULES, ACTIONS, st.randoms())
def test_decision_and_version_do_not_depend_on_the_order_of_rules(
    some_rules: list[Rule], action: Action, chance: random.Random
) -> None:
    shuffled = chance.sample(some_rules, len(some_rules))
    turned = [rule.model_copy(update={"tools": rule.tools[::-1], "commands": rule.commands[::-1]}) for rule in shuffled]
    assert decided(policy(turned), action) == decided(policy(some_rules), action)


@FEW
@given(ANY_RULES, MORE_RULES)
def test_other_rules_have_another_version(some_rules: list[Rule], more: list[Rule]) -> None:
    assert (policy(some_rules).version == policy(some_rules, more).version) is (not more)


@FEW
@given(ANY_RULES, ACTIONS)
def test_nobody_to_ask_leaves_no_question(some_rules: list[Rule], action: Action) -> None:
    asked, unasked = (decided(policy(some_rules), action, attended=attended) for attended in (True, False))
    assert unasked.verdict != "ask"
    assert unasked == (unattended(asked) if asked.verdict == "ask" else asked)


DECISIONS = st.builds(
    Decision,
    verdict=st.sampled_from(VERDICTS),
    rule=st.sampled_from(("a", "b", "governor:g")),
    reason=st.just("because"),
    persons=st.sampled_from((1, 2)),
)


@FEW
@given(DECISIONS, DECISIONS)
def test_governor_can_only_narrow(decision: Decision, by: Decision) -> None:
    after = narrowed(decision, by)
    assert rank(after) == min(rank(decision), rank(by))
    assert narrowed(after, by).verdict == after.verdict
    if after.verdict == "ask":
        assert after.persons >= max(one.persons for one in (decision, by) if one.verdict == "ask")


TEXT = st.text(max_size=20) | st.sampled_from(("-", "--", "=", "a=b", "/", "..", "~", "$(x", "'", "sh -c '", "\udc80"))


@FEW
@given(
    argv=st.none() | st.lists(TEXT | st.sampled_from(("sh", "env", "find", "git", "sed", "tar", "-c")), max_size=6),
    paths=st.lists(TEXT | TEXT.map("/{}".format), max_size=3),
    hosts=st.lists(TEXT, max_size=2),
    tool=TEXT,
)
def test_whatever_is_tried_is_decided(argv: list[str] | None, paths: list[str], hosts: list[str], tool: str) -> None:
    touched = Touched(
        reads=tuple(paths), writes=tuple(paths), hosts=tuple(hosts), argv=None if argv is None else tuple(argv)
    )
    action = Action(tool=tool, arguments={}, touched=touched)
    decision = Policy.read().decide(action, "production", now=NOW, attended=True)
    assert decision.verdict in ("deny", "forbid", "ask")
