"""`c500 policy`: rules are checked, and what they would decide is the same as what they decide of a run's call."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from blocks.errors import BadInput, C500Error, NotFound
from blocks.policy import Policy, activate
from blocks.settings import settings
from deployments.cli import app, policy

assert policy.commands

WRONG = """\
rules:
  - {id: one, verdict: allow, reason: r, tools: [read_file], profiles: [nowhere]}
  - {id: two, verdict: maybe, reason: r, tools: [read_file]}
"""
OWN = """\
rules:
  - {id: no-notes, verdict: forbid, reason: notes are ours, writes: ["{workspace}/notes/**"], profiles: [development]}
  - id: holidays
    verdict: forbid
    reason: nothing over the holidays
    read_only: false
    times: [{zone: Asia/Ho_Chi_Minh, first: 2026-12-24, last: 2027-01-02}]
"""
WRITE = '{"path": "notes/a.txt", "content": "hello"}'


def c500(*arguments: str) -> Result:
    """Run a command in this process; what it raises is in `exception`."""
    return CliRunner().invoke(app, ["policy", *arguments])


def explained(tool: str, arguments: str = "{}", *more: str) -> dict[str, Any]:
    """What would be decided."""
    told = c500("explain", tool, "--arguments", arguments, "--json", *more)
    assert told.exit_code == 0, told.exception
    return json.loads(told.stdout)


def verdict(*asked: str) -> tuple[str, str]:
    decision = explained(*asked)["decision"]
    return decision["verdict"], decision["rule"]


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Rules of one's own, in POLICY_FILE."""
    path = tmp_path / "policy.yaml"
    path.write_text(OWN, encoding="utf-8")
    monkeypatch.setenv("POLICY_FILE", str(path))
    settings.cache_clear()
    return path


def test_good_rules_are_said_to_be(own: Path) -> None:
    told = c500("check", str(own))
    assert told.exit_code == 0
    assert f"version {Policy.read(own).version}" in told.stdout
    assert json.loads(c500("check", "--json").stdout)["version"] == Policy.read(own).version != Policy.read().version


def test_each_fault_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.yaml"
    path.write_text(WRONG, encoding="utf-8")
    told = c500("check", str(path)).exception
    assert isinstance(told, BadInput)
    assert "wrong.yaml:3" in told.message
    as_json = c500("check", str(path), "--json")
    assert as_json.exit_code == 2
    answer = json.loads(as_json.stdout)
    assert answer["ok"] is False
    assert "wrong.yaml:3: rules.1.verdict" in answer["problems"][0]


def test_a_file_that_there_is_not_and_a_profile_that_there_is_not_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(c500("check", str(tmp_path / "none.yaml")).exception, NotFound)
    monkeypatch.setenv("AGENT_PROFILE", "careful")
    settings.cache_clear()
    assert "no profile 'careful'" in str(c500("check").exception)


def test_profiles_are_listed_with_what_is_in_force() -> None:
    told = c500("profiles").stdout
    assert "* development" in told
    assert "not in force: production is in its place" in told
    activate(settings().agents_home / "policy", "ann", "down", 3600)
    assert "not in force" not in c500("profiles").stdout
    rows = {row["name"]: row for row in json.loads(c500("profiles", "--json").stdout)}
    assert (rows["incident"]["in_force"], rows["staging"]["sandbox"]) == ("incident", "bubblewrap")


def test_the_rule_that_decides_is_told_with_what_the_call_touches(own: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    found = explained("write_file", WRITE, "--workspace", str(tmp_path / "work"))
    assert (found["decision"]["verdict"], found["decision"]["rule"]) == ("forbid", "no-notes")
    assert found["decision"]["policy_version"] == Policy.read(own).version
    assert found["action"]["touched"]["writes"] == [str(tmp_path.resolve() / "work" / "notes" / "a.txt")]
    told = c500("explain", "write_file", "--arguments", WRITE).stdout
    assert "verdict  forbid\nrule     no-notes\nbecause  rule no-notes: notes are ours\nprofile  development" in told
    assert not (tmp_path / "work" / "notes").exists(), "nothing is done"


def test_profile_time_labels_and_attendance_count(own: Path) -> None:
    other = '{"path": "a.txt", "content": "hello"}'
    assert verdict("write_file", other) == ("allow", "workspace-files")
    assert verdict("write_file", other, "--profile", "production") == ("ask", "default")
    assert verdict("write_file", other, "--profile", "production", "--unattended") == ("deny", "unattended")
    assert verdict("write_file", other, "--at", "2026-12-24T00:30+07:00") == ("forbid", "holidays")
    assert verdict("write_file", other, "--at", "2026-12-23T23:30+07:00") == ("allow", "workspace-files")
    get = '{"url": "https://example.com/a"}'
    assert verdict("http_get", get, "--labels", "untrusted, private") == ("ask", "flow:rule-of-two")


def test_what_no_rule_could_allow_is_denied_before_the_rules() -> None:
    found = explained("read_file", '{"path": "../../../etc/passwd"}')
    assert (found["decision"]["verdict"], found["decision"]["rule"]) == ("deny", "reach")
    assert found["action"] is None


def test_commands_are_looked_at_as_in_a_run() -> None:
    assert verdict("run_command", '{"argv": ["ls", "-l"]}')[0] == "allow"
    assert verdict("run_command", '{"argv": ["sudo", "ls"]}') == ("deny", "become-another")


def test_an_expired_incident_is_said_to_be() -> None:
    found = explained("write_file", '{"path": "a", "content": "b"}', "--profile", "incident")
    assert found["decision"]["profile"] == "production"


def test_a_tool_that_nobody_knows_is_asked_about_and_said_to_be_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASES_FILE", str(tmp_path / "databases.yaml"))
    settings.cache_clear()
    found = explained("wriet_file")
    assert (found["decision"]["rule"], found["action"]["known"]) == ("unknown-tool", False)
    assert "no tool of C500" in found["notes"][0]
    found = explained("query_sql", '{"query": "select 1"}')
    assert "cannot be used here" in found["notes"][0]


def test_a_profile_that_only_plans_and_a_tool_that_is_hidden_are_noted(own: Path) -> None:
    own.write_text(
        "profiles: {rehearsal: {about: plans, dry_run: true}}\n"
        "rules: [{id: no-web, verdict: forbid, reason: r, tools: [http_get], profiles: [rehearsal]}]\n",
        encoding="utf-8",
    )
    write = explained("write_file", WRITE, "--profile", "rehearsal")
    assert ["plans only" in note for note in write["notes"]] == [True]
    web = explained("http_get", '{"url": "https://example.com"}', "--profile", "rehearsal")
    assert ["not shown" in note for note in web["notes"]] == [True]


@pytest.mark.parametrize(
    "arguments",
    [
        ["write_file", "--arguments", "{"],
        ["write_file", "--arguments", "[]"],
        ["write_file", "--arguments", '{"path": 1}'],
        ["write_file", "--arguments", WRITE, "--labels", "secret"],
        ["write_file", "--arguments", WRITE, "--at", "yesterday"],
        ["write_file", "--arguments", WRITE, "--profile", "nothing"],
        ["write_file", "--arguments", WRITE, "--workspace", "/nonexistent"],
    ],
)
def test_what_cannot_be_asked_is_refused(arguments: list[str]) -> None:
    told = c500("explain", *arguments)
    assert isinstance(told.exception, C500Error)
    assert told.exception.exit_code == 2


def test_explaining_leaves_nothing_behind() -> None:
    explained("write_file", '{"path": "a", "content": "b"}')
    assert list(settings().agents_home.iterdir()) == []


def test_a_rule_that_names_no_tool_is_told(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(
        "rules:\n  - {id: odd, verdict: forbid, reason: r, tools: [write_fil, write_file, 'git_*', mcp_tickets_add]}\n"
    )
    told = c500("check", str(file))
    assert told.exit_code == 0
    assert "rule odd names 'write_fil'" in told.stderr
    assert told.stderr.count("warning") == 1
    assert len(json.loads(c500("check", str(file), "--json").stdout)["warnings"]) == 1
    assert "warning" not in c500("check").stderr
