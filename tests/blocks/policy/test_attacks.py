"""What agents may be talked into, kept as data: every case ends blocked or asked, whatever else is allowed."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import TypeAdapter

from blocks.action import Action, Touched
from blocks.policy import Decision, Policy, Rule
from blocks.policy.rule import PolicyFile

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("attacks.yaml").read_text())
RULES = TypeAdapter(tuple[Rule, ...])
ALLOW_ALL = Rule(id="allow-all", verdict="allow", reason="anything", tools=("*",))


@lru_cache(maxsize=64)
def with_own_rules(rules: tuple[Rule, ...], workspace: Path) -> Policy:
    """The shipped rules with an operator's, at work."""
    content: PolicyFile = Policy.read().content
    return Policy(content.model_copy(update={"rules": (*content.rules, *rules)})).placed(workspace=workspace)


def action_of(case: dict[str, Any], workspace: Path) -> Action:
    def placed(texts: list[str] | None) -> tuple[str, ...]:
        return tuple(text.replace("{ws}", str(workspace)) for text in texts or ())

    return Action(
        tool=case.get("tool", "run_command" if "argv" in case else "write_file" if "writes" in case else "read_file"),
        arguments={},
        risk=case.get("risk", "medium"),
        known=case.get("known", True),
        read_only="reads" in case,
        outside=case.get("outside", False),
        labels=frozenset(case.get("labels", ())),
        touched=Touched(
            reads=placed(case.get("reads")),
            writes=placed(case.get("writes")),
            hosts=tuple(case.get("hosts", ())),
            argv=placed(case["argv"]) if "argv" in case else None,
            size_bytes=case.get("size_bytes", 9 if "writes" in case else None),
        ),
    )


def decided(case: dict[str, Any], workspace: Path, *more: Rule, attended: bool = True) -> Decision:
    rules = RULES.validate_python(case.get("rules", ()))
    policy = with_own_rules((*rules, *more), workspace)
    profile = case.get("profile", "development")
    return policy.decide(action_of(case, workspace), profile, now=NOW, attended=attended)


def named(cases: list[dict[str, Any]]) -> list[Any]:
    return [pytest.param(case, id=case["name"].replace(" ", "-")) for case in cases]


@pytest.mark.parametrize("case", named(CASES))
def test_attack_ends_as_it_should(case: dict[str, Any], workspace: Path) -> None:
    decision = decided(case, workspace)
    assert (decision.verdict, decision.rule) == (case["verdict"], case["rule"])


@pytest.mark.parametrize("case", named([case for case in CASES if case["verdict"] in ("deny", "forbid")]))
def test_rule_that_allows_everything_lifts_no_refusal(case: dict[str, Any], workspace: Path) -> None:
    assert decided(case, workspace, ALLOW_ALL).verdict == case["verdict"]


@pytest.mark.parametrize("case", named(CASES))
def test_attack_is_denied_where_nobody_can_be_asked(case: dict[str, Any], workspace: Path) -> None:
    assert decided(case, workspace, attended=False).verdict in ("deny", "forbid")


def test_cases_are_told_apart_by_their_names() -> None:
    assert len({case["name"] for case in CASES}) == len(CASES) >= 60
