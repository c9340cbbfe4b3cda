"""Files of rules: what is wrong with one is told with its line, and shipped rules go only where that is said."""

import re
from importlib.resources import files
from pathlib import Path

import pytest

from blocks.errors import BadInput, NotFound
from blocks.policy import Policy

RULE = "rules:\n  - id: mine\n    verdict: allow\n    reason: because\n"


def problems(text: str) -> list[str]:
    with pytest.raises(BadInput) as caught:
        Policy.parse(text)
    assert caught.value.details["line"] > 0
    return caught.value.details["problems"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (RULE.replace("id: mine", "about: mine"), "policy.yaml:2: rules.0.id: it is missing"),
        (
            RULE + "    tools: [x]\n" + RULE[7:] + "    tools: [y]\n",
            ":6: rules.1.id: mine is the id of another (see line 2)",
        ),
        (
            RULE.replace("mine", "prod-no-writes") + "    tools: [x]\n",
            ":2: rules.0.id: prod-no-writes is an id that is shipped",
        ),
        (
            RULE.replace("mine", "unknown-tool") + "    tools: [x]\n",
            ":2: rules.0.id: unknown-tool is an id that is shipped",
        ),
        (RULE.replace("mine", "My_Rule") + "    tools: [x]\n", ":2: rules.0.id: it is not of the form"),
        (RULE.replace("allow", "permit") + "    tools: [x]\n", ":3: rules.0.verdict: here belongs"),
        (RULE.replace("because", "''") + "    tools: [x]\n", ":4: rules.0.reason: "),
        (RULE, ":2: rules.0.id: the rule says of nothing what it is about"),
        (RULE + "    tools: []\n", ":5: rules.0.tools: it needs 1 or more"),
        (RULE + "    tool: [x]\n", ":5: rules.0.tool: there is no such field; did you mean tools?"),
        (RULE + "    tools: ['a b']\n", ":5: rules.0.tools.0: it is not of the form"),
        (
            RULE + "    tools: [x]\n    profiles: [prod]\n",
            ":6: rules.0.profiles.0: there is no profile prod (known are development",
        ),
        (RULE + "    tools: [x]\n    persons: 2\n", ":6: rules.0.persons: only a rule that asks has persons"),
        (RULE.replace("allow", "ask") + "    tools: [x]\n    persons: 3\n", ":6: rules.0.persons: here belongs"),
        (
            RULE.replace("allow", "deny") + "    tools: [x]\n    profiles: [staging]\n",
            ":6: rules.0.profiles: deny holds in every",
        ),
        (RULE + "    paths: [etc/x]\n", ":5: rules.0.paths.0: a path begins with one of"),
        (RULE + "    paths:\n      - /a/**\n      - /a/[b\n", ":7: rules.0.paths.1: a bracket is not closed"),
        (RULE + "    paths_except: [/a]\n", ":5: rules.0.paths_except: a rule that allows says what is allowed"),
        (RULE + "    hosts: ['https://x.com']\n", ":5: rules.0.hosts.0: "),
        (RULE + "    hosts: [x.com, 'a.*.com']\n", ":5: rules.0.hosts.1: * stands alone"),
        (
            RULE + "    times:\n      - {zone: Asia/Hanoi}\n",
            ":6: rules.0.times.0.zone: there is no time zone 'Asia/Hanoi'",
        ),
        (
            RULE + "    times:\n      - {zone: UTC, start: 22:00}\n",
            ":6: rules.0.times.0.start: here belongs a text; what looks like",
        ),
        (RULE + "    times:\n      - {zone: UTC, start: '9:00'}\n", ":6: rules.0.times.0.start: it is not of the form"),
        (RULE + "    size_at_most_bytes: 10MB\n", ":5: rules.0.size_at_most_bytes: here belongs a whole number"),
        (RULE + "    risk_at_most: tiny\n", ":5: rules.0.risk_at_most: here belongs"),
        (RULE + "    labels: [secret]\n", ":5: rules.0.labels.0: here belongs"),
        (RULE + "    commands:\n      - programs: ['gi t']\n", ":6: rules.0.commands.0.programs.0: a program is named"),
        (
            RULE + "    commands:\n      - programs: [git]\n",
            ":6: rules.0.commands.0.words: the first word of git says what is done",
        ),
        (
            RULE + "    commands:\n      - programs: [mytool]\n",
            ":6: rules.0.commands.0.flags: the options of mytool are not known",
        ),
        (
            RULE + "    commands:\n      - programs: [bash]\n",
            ":6: rules.0.commands.0.programs: bash runs other programs or code",
        ),
        (
            RULE + "    commands:\n      - programs: ['l*']\n",
            ":6: rules.0.commands.0.programs: a rule that allows names programs",
        ),
        (
            RULE + "    commands:\n      - {programs: [ls], flags: [v]}\n",
            ":6: rules.0.commands.0.flags.0: an option is written as",
        ),
        ("profiles:\n  Prod: {about: x}\n", ":2: profiles.Prod"),
        (
            "profiles:\n  release: {about: x, falls_back_to: prod}\n",
            ":2: profiles.release.falls_back_to: there is no profile prod",
        ),
        ("profiles:\n  release: {about: x, falls_back_to: incident}\n", "incident itself expires"),
        ("profiles:\n  release: {about: x, falls_back_to: development}\n", "development is milder than release"),
        (
            "profiles:\n  release: {about: x, lasts_at_most_s: 60}\n",
            "only a profile that falls back to another expires",
        ),
        (
            "profiles:\n  release: {about: x, falls_back_to: production, lasts_at_most_s: 90000}\n",
            "it must be 86400.0 or less",
        ),
        ("profiles:\n  incident: {about: x}\n", ":2: profiles.incident: incident expires; say to which"),
        ("without: [prod-no-write]\n", ":1: without.0: there is no shipped rule prod-no-write"),
        ("without: [secret-places]\n", ":1: without.0: secret-places denies"),
        ("private_hosts: ['*']\n", ":1: private_hosts.0: private hosts are named"),
        ("private_hosts: ['http://db']\n", ":1: private_hosts.0: "),
        ("flows:\n  - {id: a, verdict: allow, reason: r, labels: [private]}\n", ":2: flows.0.verdict: here belongs"),
        (
            "flows:\n  - {id: rule-of-two, verdict: ask, reason: r, labels: [private]}\n",
            "rule-of-two is an id that is shipped",
        ),
        ("default: {other: allow}\n", ":1: default.other: here belongs"),
        ("", ":1: file: here belongs a mapping"),
        ("rules: [\n", "it is no YAML"),
    ],
)
def test_fault_is_told_with_its_line(text: str, told: str) -> None:
    assert any(told in problem for problem in problems(text)), problems(text)


def test_all_faults_are_told_at_once() -> None:
    assert len(problems(RULE + "    tools: ['a b']\n    paths: [x]\n    hosts: ['/']\n")) == 3


def test_file_is_read_beside_the_shipped_rules(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(RULE + "    tools: [x]\n")
    ids = [rule.id for rule in Policy.read(path).content.rules]
    assert "mine" in ids
    assert set(ids) - {"mine"} == {rule.id for rule in Policy.read().content.rules}


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        Policy.read(tmp_path / "policy.yaml")


def test_shipped_rules_lie_in_the_package() -> None:
    for name in ("default.yaml", "programs.yaml"):
        assert files("blocks.policy").joinpath(name).read_text()
    assert {"development", "staging", "production", "incident"} <= Policy.read().profiles.keys()


def test_shipped_rule_may_be_left_out_by_its_id() -> None:
    assert "high-risk" not in {rule.id for rule in Policy.parse("without: [high-risk]\n").content.rules}


def test_stricter_default_holds() -> None:
    default = Policy.parse("default: {harmless: ask}\n").content.default
    assert default is not None
    assert default.harmless == "ask"


def test_version_does_not_depend_on_the_layout_of_the_file() -> None:
    one = Policy.parse("private_hosts: [a, b]\n" + RULE + "    tools: [x, y]\n")
    other = Policy.parse(
        "# mine\nrules: [{tools: [y, x], reason: because, verdict: allow, id: mine}]\nprivate_hosts: [b, a]\n"
    )
    assert one.version == other.version
    assert one.version != Policy.parse(RULE + "    tools: [x, y]\n").version


def test_example_of_the_documentation_is_a_policy() -> None:
    text = (Path(__file__).parents[3] / "docs" / "agents" / "policy.md").read_text()
    [example] = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert {"tests", "freeze"} <= {rule.id for rule in Policy.parse(example).content.rules}
