"""The shipped rules let agents work: what is usual goes on, in each profile as far as it should."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blocks.action import Action, Touched
from blocks.policy import Policy, activate

NOW = datetime(2026, 3, 2, 10, tzinfo=UTC)
PROFILES = ("development", "staging", "production", "incident")


def verdicts(workspace: Path, folder: Path, **action: Any) -> tuple[str, ...]:
    """What becomes of an action in each of the profiles."""
    activate(folder, "ann", "down", 60, now=NOW)
    rules = Policy.read().placed(workspace=workspace, state=folder)
    given = Action(**{"arguments": {}, "risk": "medium", **action})
    return tuple(rules.decide(given, profile, now=NOW, attended=True).verdict for profile in PROFILES)


def test_a_link_is_deleted_as_what_it_is_wherever_it_leads(tmp_path: Path) -> None:
    workspace, outside = tmp_path.resolve() / "ws", tmp_path.resolve() / "outside"
    for one in (workspace, outside):
        one.mkdir()
    (workspace / "link").symlink_to("/etc/passwd")
    (workspace / "folder").symlink_to("/etc")

    def decided(**touched: Any) -> str:
        action = {"tool": "delete_file", "reversible": True, "touched": Touched(**touched)}
        return verdicts(workspace, outside, **action)[0]

    assert decided(removes=(f"{workspace}/link",)) == "notify"
    assert decided(writes=(f"{workspace}/link",)) == "deny"
    assert decided(removes=(f"{workspace}/folder/passwd",)) == "deny"
    assert decided(removes=("/etc",)) == "deny"


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        ({"tool": "read_file", "risk": "low", "read_only": True}, ("allow",) * 4),
        ({"tool": "search_files", "read_only": True, "reads": ("{ws}/sub",)}, ("allow",) * 4),
        ({"tool": "write_file", "writes": ("{ws}/b.txt",), "size_bytes": 9}, ("allow", "allow", "ask", "allow")),
        ({"tool": "write_file", "writes": ("{ws}/b.txt",), "size_bytes": 20_000_000}, ("ask",) * 4),
        ({"tool": "write_file", "writes": ("/srv/b.txt",), "size_bytes": 9}, ("ask", "forbid", "forbid", "ask")),
        ({"tool": "delete_file", "writes": ("{ws}/a.txt",)}, ("notify", "notify", "ask", "notify")),
        ({"tool": "http_get", "read_only": True, "hosts": ("example.com:443",)}, ("ask",) * 4),
        ({"tool": "git_status", "risk": "low", "read_only": True, "reads": ("{ws}",)}, ("allow",) * 4),
        ({"tool": "git_commit", "writes": ("{ws}",)}, ("notify", "ask", "ask", "ask")),
        ({"tool": "git_push", "risk": "high", "outside": True}, ("ask", "ask", "ask", "forbid")),
        ({"tool": "query_sql", "read_only": True, "outside": False}, ("allow",) * 4),
        ({"tool": "kubectl_get", "read_only": True}, ("allow",) * 4),
        ({"tool": "kubectl_scale", "risk": "high", "outside": True}, ("ask", "ask", "ask", "notify")),
        ({"tool": "kubectl_apply", "risk": "high", "outside": True}, ("ask", "ask", "ask", "forbid")),
        ({"tool": "kubectl_delete", "risk": "high", "outside": True}, ("ask", "ask", "forbid", "forbid")),
        ({"tool": "drop_all", "risk": "critical"}, ("ask",) * 4),
        ({"tool": "remember"}, ("allow",) * 4),
        ({"tool": "forget"}, ("notify", "ask", "ask", "notify")),
        ({"tool": "run_command", "risk": "high", "argv": ("ls", "-la", "sub")}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("grep", "-rn", "process.env", "sub")}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("sed", "-n", "1,50p", "a.txt")}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("find", ".", "-name", "*.py", "-type", "f")}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("cat", "/workspace/a.txt")}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("sort", "-rn", "-k2", "a.txt")}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("date",)}, ("allow",) * 4),
        ({"tool": "run_command", "argv": ("pytest", "-q")}, ("ask",) * 4),
        ({"tool": "run_command", "argv": ("python3", "tool.py")}, ("ask",) * 4),
        ({"tool": "run_command", "argv": ("python3", "-c", "1")}, ("ask", "forbid", "forbid", "forbid")),
        ({"tool": "run_command", "argv": ("cp", "a.txt", "b.txt")}, ("ask",) * 4),
    ],
)
def test_usual_work_goes_on(action: dict[str, Any], expected: tuple[str, ...], workspace: Path, tmp_path: Path) -> None:
    def placed(field: str) -> tuple[str, ...]:
        return tuple(text.replace("{ws}", str(workspace)) for text in action.get(field, ()))

    touched = Touched(
        reads=placed("reads"),
        writes=placed("writes"),
        hosts=placed("hosts"),
        argv=action.get("argv"),
        size_bytes=action.get("size_bytes"),
    )
    known = {key: value for key, value in action.items() if key not in Touched.model_fields}
    assert verdicts(workspace, tmp_path, **known, touched=touched) == expected


def test_example_of_an_image_for_dotenv_may_be_read(workspace: Path) -> None:
    rules = Policy.read().placed(workspace=workspace)
    action = Action(
        tool="read_file",
        arguments={},
        risk="low",
        read_only=True,
        touched=Touched(reads=(f"{workspace}/.env.example",)),
    )
    assert rules.decide(action, "production", now=NOW, attended=False).verdict == "allow"


def test_workspace_within_the_house_of_c500_is_the_agents(tmp_path: Path) -> None:
    workspace = tmp_path / ".c500" / "agents" / "workspaces" / "run"
    workspace.mkdir(parents=True)
    rules = Policy.read().placed(workspace=workspace)
    for name, verdict in ((str(workspace / "a"), "allow"), (str(workspace.parent / "other" / "a"), "deny")):
        action = Action(tool="read_file", arguments={}, risk="low", read_only=True, touched=Touched(reads=(name,)))
        assert rules.decide(action, "production", now=NOW, attended=True).verdict == verdict


def test_incident_that_has_expired_is_as_strict_as_production(tmp_path: Path) -> None:
    activate(tmp_path, "ann", "down", 60, now=NOW)
    rules = Policy.read().placed(state=tmp_path)
    action = Action(tool="kubectl_rollout_undo", arguments={}, risk="high", outside=True)
    assert rules.decide(action, "incident", now=NOW, attended=True).verdict == "notify"
    late = rules.decide(action, "incident", now=NOW + timedelta(minutes=1), attended=True)
    assert (late.verdict, late.rule, late.profile) == ("ask", "high-risk", "production")


@pytest.mark.parametrize(
    "argv",
    [
        ("python3", "-c", "x" * 120_000),
        ("sed", "s/" + "a" * 60_000 + "/" + "\\/" * 30_000, "x"),
        ("env", *(["rm"] * 1000)),
        ("cat", ":".join(map(str, range(4000)))),
        ("curl", "a." * 60_000),
        ("sh", "-c", "'" * 100_000),
        ("sh", "-c", "\\" * 100_000),
        ("sh", "-c", "$(" * 50_000),
    ],
    ids=["letters", "script", "wrapped", "paths", "names", "quotes", "backslashes", "parentheses"],
)
def test_command_made_to_take_long_takes_not_long(argv: tuple[str, ...], workspace: Path) -> None:
    """The test's time limit is the judge: without care, each takes minutes."""
    rules = Policy.read().placed(workspace=workspace)
    action = Action(tool="run_command", arguments={}, touched=Touched(argv=argv))
    assert rules.decide(action, "production", now=NOW, attended=True).policy_version == rules.version
