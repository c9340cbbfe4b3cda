"""One verdict for every action: which rule decides, why, and under which profile."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from blocks.action import Action, Touched
from blocks.errors import BadInput, NotFound
from blocks.policy import Decision, Policy, Rule, narrowed

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)  # a Monday


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    base = Policy.parse("rules: []\n" + "".join(f"{key}: {value}\n" for key, value in more.items()))
    own = tuple(Rule.model_validate({"reason": "because", **rule}) for rule in rules)
    return Policy(base.content.model_copy(update={"rules": own}))


def decided(rules: Policy, profile: str = "development", *, attended: bool = True, **action: Any) -> Decision:
    given = {"tool": "make_tea", "arguments": {}, **action}
    return rules.decide(Action(**given), profile, now=NOW, attended=attended)


@pytest.mark.parametrize(
    ("verdicts", "holds"),
    [
        (("allow", "notify", "ask", "forbid", "deny"), "deny"),
        (("forbid", "allow", "ask"), "forbid"),
        (("notify", "ask", "allow"), "ask"),
        (("allow", "notify"), "notify"),
        (("allow",), "allow"),
        ((), "ask"),
    ],
)
def test_strictest_rule_decides(verdicts: tuple[str, ...], holds: str) -> None:
    rules = [{"id": f"r-{verdict}", "verdict": verdict, "tools": ("make_tea",)} for verdict in verdicts]
    decision = decided(policy(*rules))
    assert decision.verdict == holds
    assert decision.rule == (f"r-{holds}" if verdicts else "default")


def test_reason_names_the_rule_and_says_why(workspace: Path) -> None:
    decision = decided(Policy.read().placed(workspace=workspace), "production", touched=Touched(writes=("/srv/x",)))
    assert decision.reason == "rule prod-no-writes: writes outside of the workspace are not allowed in production"
    assert decision.policy_version == Policy.read().version
    assert decision.profile == "production"


def test_known_tool_that_only_reads_at_low_risk_is_allowed() -> None:
    assert decided(policy(), read_only=True, risk="low").verdict == "allow"
    assert decided(policy(), read_only=True, risk="low").rule == "default"


@pytest.mark.parametrize(
    "other",
    [
        {"risk": "medium"},
        {"read_only": False},
        {"known": False},
        {"outside": True},
        {"touched": Touched(hosts=("example.com:443",))},
    ],
)
def test_what_is_not_surely_harmless_is_asked(other: dict[str, Any]) -> None:
    assert decided(policy(), **{"read_only": True, "risk": "low", **other}).verdict == "ask"


def test_unknown_tool_is_asked_whatever_is_allowed() -> None:
    rules = policy({"id": "all", "verdict": "allow", "tools": ("*",)})
    assert decided(rules, known=False).rule == "unknown-tool"


def test_question_that_nobody_can_answer_is_a_refusal() -> None:
    decision = decided(policy({"id": "tea", "verdict": "ask", "persons": 2, "tools": ("*",)}), attended=False)
    assert (decision.verdict, decision.rule, decision.persons) == ("deny", "unattended", 1)
    assert "rule tea: because" in decision.reason


def test_what_needs_no_person_goes_on_unattended() -> None:
    assert decided(policy({"id": "tea", "verdict": "notify", "tools": ("*",)}), attended=False).verdict == "notify"


def test_rule_holds_in_its_profiles_only() -> None:
    rules = policy({"id": "tea", "verdict": "allow", "tools": ("*",), "profiles": ("staging",)})
    assert decided(rules, "staging").verdict == "allow"
    assert decided(rules, "production").verdict == "ask"


def test_most_persons_of_the_rules_that_ask_are_asked() -> None:
    rules = policy(
        {"id": "a", "verdict": "ask", "tools": ("*",)}, {"id": "b", "verdict": "ask", "tools": ("*",), "persons": 2}
    )
    assert (decided(rules).rule, decided(rules).persons) == ("b", 2)


def test_flow_rule_holds_whatever_is_allowed() -> None:
    rules = policy({"id": "all", "verdict": "allow", "tools": ("*",)})
    both: frozenset[Any] = frozenset({"untrusted", "private"})
    assert decided(rules, outside=True, labels=both).rule == "flow:rule-of-two"
    assert decided(rules, touched=Touched(hosts=("example.com:443",)), labels=both).rule == "flow:rule-of-two"
    assert decided(rules, outside=True, labels=frozenset({"private"})).verdict == "allow"
    assert decided(rules, outside=False, labels=both).verdict == "allow"


def test_flow_rules_can_be_made_stricter() -> None:
    flows = "[{id: sealed, verdict: forbid, reason: it is private, labels: [private]}]"
    rules = policy({"id": "all", "verdict": "allow", "tools": ("*",)}, flows=flows)
    decision = decided(rules, outside=True, labels=frozenset({"private"}))
    assert (decision.verdict, decision.rule, decision.reason) == (
        "forbid",
        "flow:sealed",
        "flow rule sealed: it is private",
    )


@pytest.mark.parametrize(
    ("rule", "fits", "fits_not"),
    [
        ({"tools": ("make_*",)}, {}, {"tool": "drink"}),
        ({"tools": ("*",), "tools_except": ("drink",)}, {}, {"tool": "drink"}),
        ({"risk_at_least": "high"}, {"risk": "critical"}, {"risk": "medium"}),
        ({"risk_at_most": "medium"}, {"risk": "medium"}, {"risk": "high"}),
        ({"read_only": True}, {"read_only": True}, {}),
        ({"reversible": False}, {}, {"reversible": True}),
        ({"outside": True}, {"outside": True}, {}),
        ({"users": ("ann", "*@x.org")}, {"user": "bob@x.org"}, {"user": "bob"}),
        ({"users_except": ("ann",)}, {"user": "bob"}, {"user": "ann"}),
        ({"agents": ("oper*",)}, {"agent": "operator"}, {"agent": "reader"}),
        ({"labels": frozenset({"private"})}, {"labels": frozenset({"private", "untrusted"})}, {}),
        ({"times": ({"zone": "UTC", "days": ("mon",)},)}, {}, None),
        ({"times": ({"zone": "UTC", "days": ("tue",)},)}, None, {}),
        ({"size_above_bytes": 5}, {"touched": Touched(size_bytes=6)}, {"touched": Touched(size_bytes=5)}),
        ({"size_at_most_bytes": 5}, {"touched": Touched(size_bytes=5)}, {"touched": Touched(size_bytes=6)}),
        ({"reads": ("/a/**",)}, {"touched": Touched(reads=("/a/b",))}, {"touched": Touched(writes=("/a/b",))}),
        ({"writes": ("/a/**",)}, {"touched": Touched(writes=("/a/b",))}, {}),
        ({"paths": ("/a/**",)}, {"touched": Touched(writes=("/a/b",))}, {"touched": Touched(writes=("/b",))}),
        ({"hosts": ("x.org",)}, {"touched": Touched(hosts=("x.org:443",))}, {}),
        (
            {"commands": ({"programs": ("ls",)},)},
            {"touched": Touched(argv=("ls",))},
            {"touched": Touched(argv=("cat",))},
        ),
    ],
)
@pytest.mark.parametrize("verdict", ["allow", "forbid"])
def test_rule_is_about_what_it_says(rule: dict[str, Any], fits: Any, fits_not: Any, verdict: str) -> None:
    rules = policy({"id": "tea", "verdict": verdict, **rule})
    if fits is not None:
        assert decided(rules, **fits).rule == "tea"
    if fits_not is not None:
        assert decided(rules, **fits_not).rule == "default"


@pytest.mark.parametrize(
    ("rule", "action"),
    [
        ({"writes": ("/a/**",)}, {"touched": Touched(writes=("/a/b", "/c"))}),
        ({"writes": ("**",), "writes_except": ("/a/secret/**",)}, {"touched": Touched(writes=("/a", "/b"))}),
        ({"hosts": ("x.org",)}, {"touched": Touched(hosts=("x.org:443", "y.org:443"))}),
        ({"size_at_most_bytes": 5}, {}),
        ({"paths": ("{workspace}/**",)}, {"touched": Touched(writes=("/a",))}),
        ({"commands": ({"programs": ("ls",)},)}, {"touched": Touched(argv=("env", "ls"))}),
    ],
)
def test_part_of_an_action_is_enough_to_forbid_and_not_to_allow(rule: dict[str, Any], action: dict[str, Any]) -> None:
    assert decided(policy({"id": "tea", "verdict": "forbid", **rule}), **action).verdict == "forbid"
    assert decided(policy({"id": "tea", "verdict": "allow", **rule}), **action).verdict == "ask"
    assert decided(policy({"id": "tea", "verdict": "notify", **rule}), **action).verdict == "ask"


def test_size_that_nobody_knows_is_nothing_for_a_tool_that_only_reads() -> None:
    rules = policy({"id": "big", "verdict": "forbid", "size_above_bytes": 5})
    assert decided(rules).verdict == "forbid"
    assert decided(rules, read_only=True, risk="low").verdict == "allow"


def test_private_host_is_reached_only_where_it_is_named() -> None:
    rule = {"id": "db", "verdict": "allow", "hosts": ("db:5432", "10.0.0.0/8:*")}
    named = policy(rule, private_hosts="['db:5432', 10.1.0.0/16]")
    reached = {place: decided(named, touched=Touched(hosts=(place,))).verdict for place in ("db:5432", "10.1.2.3:443")}
    assert set(reached.values()) == {"allow"}
    for place in ("db:22", "10.2.0.1:443", "other:5432"):
        assert decided(named, touched=Touched(hosts=(place,))).rule == "private-address"
    assert decided(policy(rule), touched=Touched(hosts=("db:5432",))).rule == "private-address"


def test_rules_of_an_agent_narrow(workspace: Path) -> None:
    own = Rule(id="no-tea", verdict="forbid", reason="it is late", tools=("make_tea",))
    base = policy({"id": "all", "verdict": "allow", "tools": ("*",)})
    assert decided(base.with_rules([own])).rule == "no-tea"
    assert decided(base).verdict == "allow"
    assert base.with_rules([own]).version != base.version == base.placed(workspace=workspace).version


@pytest.mark.parametrize(
    "own",
    [
        {"id": "mine", "verdict": "allow", "tools": ("*",)},
        {"id": "mine", "verdict": "notify", "tools": ("*",)},
        {"id": "secret-places", "verdict": "ask", "tools": ("*",)},
        {"id": "default", "verdict": "ask", "tools": ("*",)},
        {"id": "mine", "verdict": "ask", "tools": ("*",), "profiles": ("none",)},
    ],
)
def test_rules_of_an_agent_cannot_widen(own: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        Policy.read().with_rules([Rule.model_validate({"reason": "because", **own})])


def test_tools_that_are_refused_outright_are_not_shown() -> None:
    rules = policy(
        {"id": "a", "verdict": "deny", "tools": ("drop_*",)},
        {"id": "b", "verdict": "forbid", "tools": ("deploy",), "profiles": ("production",)},
        {"id": "c", "verdict": "forbid", "tools": ("make_tea",), "users": ("bob",)},
        {"id": "d", "verdict": "ask", "tools": ("*",)},
    )
    names = ("drop_table", "deploy", "make_tea")
    assert rules.visible(names, "production") == ("make_tea",)
    assert rules.visible(names, "staging") == ("deploy", "make_tea")


def test_profile_says_which_sandbox_is_needed_and_whether_anything_is_done() -> None:
    rules = policy(profiles="{rehearsal: {about: only plans, dry_run: true, sandbox: restricted}}")
    assert (rules.sandboxed("development"), rules.sandboxed("production")) == ("restricted", "bubblewrap")
    assert rules.sandboxed("incident") == "bubblewrap"
    assert (rules.dry_run("rehearsal"), rules.dry_run("development")) == (True, False)


def test_profile_that_there_is_not_is_told() -> None:
    with pytest.raises(NotFound, match="no profile 'prod'"):
        decided(policy(), "prod")


def test_time_needs_a_zone() -> None:
    with pytest.raises(BadInput):
        policy().decide(Action(tool="x", arguments={}), "staging", now=NOW.replace(tzinfo=None), attended=True)


def test_governor_makes_a_decision_stricter_in_its_own_name() -> None:
    decision = decided(policy({"id": "all", "verdict": "allow", "tools": ("*",)}))
    stricter = narrowed(decision, Decision(verdict="ask", rule="governor:eve", reason="it looks odd"))
    assert (stricter.verdict, stricter.rule, stricter.policy_version) == (
        "ask",
        "governor:eve",
        decision.policy_version,
    )
    assert narrowed(stricter, Decision(verdict="allow", rule="governor:eve", reason="fine")) == stricter


def test_governor_can_ask_for_a_second_person() -> None:
    decision = decided(policy())
    second = narrowed(decision, Decision(verdict="ask", rule="governor:eve", reason="odd", persons=2))
    assert (second.persons, second.rule) == (2, "default")
    assert second.reason.endswith("governor:eve wants 2 persons to agree")


def test_a_command_with_more_hosts_than_anybody_looks_through_is_denied() -> None:
    rules = policy({"id": "one", "verdict": "forbid", "reason": "x", "hosts": ("example.com",)})
    argv = ("tool", ",".join(f"h{number}.example.org" for number in range(5000)))
    decision = decided(rules, touched=Touched(argv=argv))
    assert (decision.verdict, decision.rule) == ("deny", "malformed")
