"""The rules that the settings name."""

from pathlib import Path

import pytest

from blocks.errors import NotFound
from blocks.policy import activate
from blocks.policy.open import open_policy, policy_state
from blocks.settings import settings

RULES = """
rules:
  - {id: no-pay, verdict: forbid, tools: [pay], reason: "it costs"}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AGENTS_HOME", str(tmp_path / "agents"))
    settings.cache_clear()
    return tmp_path


def test_rules_of_the_file_come_to_the_shipped_ones(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = open_policy()
    (home / "mine.yaml").write_text(RULES)
    monkeypatch.setenv("POLICY_FILE", str(home / "mine.yaml"))
    settings.cache_clear()
    own = open_policy(workspace=home)
    assert own.visible(["pay", "read_file"], "production") == ("read_file",)
    assert shipped.visible(["pay", "read_file"], "production") == ("pay", "read_file")
    assert (own.workspace, shipped.workspace) == (home.resolve(), None)


def test_a_file_that_is_not_there_is_told(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLICY_FILE", str(home / "none.yaml"))
    settings.cache_clear()
    with pytest.raises(NotFound, match=r"none\.yaml"):
        open_policy()


def test_an_expiring_profile_that_somebody_put_in_force_is(home: Path) -> None:
    assert open_policy().in_force("incident") != "incident"
    activate(policy_state(), "ann", "the database is down", 3600)
    assert policy_state().is_relative_to(home / "agents")
    assert open_policy().in_force("incident") == "incident"
