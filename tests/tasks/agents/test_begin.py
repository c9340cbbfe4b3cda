"""What a run is begun with holds for all its attempts."""

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from blocks.errors import BadInput
from blocks.settings import Settings, settings
from blocks.store import LocalFiles
from tasks.agents.begin import begin
from tasks.agents.given import checked_id
from tasks.agents.opened import private_folder
from tasks.agents.result import AgentOptions
from tasks.agents.runs import Begun, RunStore


@pytest.fixture
def chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Settings with an agent of our own that may take two dollars, and one that may take any."""
    folder = tmp_path / "definitions"
    folder.mkdir()
    (folder / "thrifty.yaml").write_text("{description: d, role: r, limits: {budget_usd: 2.0}}\n")
    (folder / "free.yaml").write_text("{description: d, role: r}\n")
    monkeypatch.setenv("AGENTS_DIR", str(folder))
    settings.cache_clear()
    yield settings()
    settings.cache_clear()


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(LocalFiles(tmp_path / "store"))


def begun(store: RunStore, chosen: Settings, agent: str, budget_usd: float | None) -> Begun:
    return begin(store, chosen, "r1", "Look.", agent, AgentOptions(budget_usd=budget_usd))


@pytest.mark.parametrize(
    ("agent", "first", "then", "allowed"),
    [
        ("thrifty", 5.0, 5.0, 2.0),  # Prefect runs it again with the same parameters
        ("thrifty", 1.0, 5.0, 2.0),
        ("thrifty", None, None, 2.0),
        ("thrifty", None, 0.5, 0.5),
        ("free", 1.0, 5.0, 5.0),
        ("free", 1.0, None, 1.0),
    ],
)
def test_no_attempt_may_take_more_than_the_agents_file_allows(
    store: RunStore, chosen: Settings, agent: str, first: float | None, then: float | None, allowed: float
) -> None:
    begun(store, chosen, agent, first)
    again = begun(store, chosen, agent, then)
    assert again.definition.limits.budget_usd == allowed
    assert store.begun("r1") == again


@pytest.mark.parametrize("run_id", ["", "a/b", "../x", ".", "A", "a b", "a" * 64, "a\n"])
def test_an_id_names_one_folder_and_one_run_of_an_effect(run_id: str) -> None:
    with pytest.raises(BadInput, match="cannot have the id"):
        checked_id(run_id)


def test_a_private_folder_is_private_with_all_above_it(tmp_path: Path) -> None:
    made = private_folder(tmp_path / "home", "results", "r1")
    assert made == tmp_path / "home" / "results" / "r1"
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (made, made.parent, made.parent.parent)]
    assert modes == [0o700] * 3
