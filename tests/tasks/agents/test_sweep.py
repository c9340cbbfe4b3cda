"""What runs leave behind: taken away when nobody can need it, and not before."""

import subprocess
import sys
from pathlib import Path

import pytest

from blocks.effects import EffectLedger
from blocks.errors import Conflict, NotAllowed
from blocks.trash import Trash
from blocks.workspace import Workspace
from tasks.agents.doubts import in_doubt
from tasks.agents.retired import refuse_retired, retired
from tasks.agents.sweep import forget_effects, purge_trash
from tasks.agents.team.result import TeamAnswer, TeamOptions, TeamPlan, TeamResult
from tasks.agents.team.team_store import TeamBegun, TeamStore
from tests.conftest import ROOT
from tests.tasks.agents.left_behind import DAY_S, LeftBehind, aged, operator

A, B, C = "a" * 16, "b" * 16, "c" * 16


@pytest.fixture
def left(tmp_path: Path) -> LeftBehind:
    return LeftBehind.at(tmp_path)


def test_of_a_run_that_ended_long_ago_the_folders_go_and_its_workspace_goes_to_the_trash(left: LeftBehind) -> None:
    old, new = left.run(A, begun=32, ended=31), left.run(B, begun=40, ended=29)
    gone = left.sweep()
    assert {name: part.count for name, part in gone.items()} == {
        "retired": 1, "results": 1, "runs": 1, "workspaces": 1
    }  # fmt: skip
    assert gone["results"].size_bytes == gone["runs"].size_bytes == 10
    assert left.has("results") == left.has("runs") == left.has("workspaces") == {new}
    [trashed] = Trash(left.home / "trash").list()
    assert (trashed.name, trashed.size_bytes) == (old, 4)
    assert left.store.result(old) is not None, "what came of it is kept"


def test_a_second_sweep_finds_nothing_to_do(left: LeftBehind) -> None:
    left.run(A, begun=32, ended=31)
    left.sweep()
    assert all(part.count == 0 and not part.troubles for part in left.sweep().values())


def test_a_retired_run_cannot_be_gone_on_with_and_others_can(left: LeftBehind) -> None:
    left.run(A, begun=40, ended=31, status="limited", code="GUARD_TRIPPED")
    left.run(B, begun=40, ended=29, status="limited", code="GUARD_TRIPPED")
    left.sweep()
    with pytest.raises(Conflict, match="cannot be gone on with"):
        refuse_retired(left.files, A)
    refuse_retired(left.files, B)


@pytest.mark.parametrize(("begun", "is_over"), [(89, False), (91, True)])
@pytest.mark.parametrize("waits", [False, True])
def test_a_run_that_never_ended_or_waits_for_a_person_is_kept_longer(
    left: LeftBehind, begun: float, is_over: bool, waits: bool
) -> None:
    handed_off = {"ended": begun - 1, "status": "limited", "code": "HANDED_OFF"} if waits else {}
    left.run(A, begun=begun, **handed_off)
    left.sweep()
    assert (retired(left.files, A) is not None) == is_over
    assert left.has("results") == (set() if is_over else {A})
    assert left.has("workspaces") == {A} or waits, "of one that never ended it stays for as long again"


def test_a_run_that_was_gone_on_with_lately_is_left_alone(left: LeftBehind) -> None:
    """It had reached a limit, went on, and was stopped: its old result still stands."""
    left.run(A, begun=80, ended=60, lived=2, status="limited", code="GUARD_TRIPPED")
    left.sweep()
    assert left.has("results") == left.has("workspaces") == {A}


def test_a_run_that_a_process_is_at_is_left_alone(left: LeftBehind) -> None:
    left.run(A, begun=100)
    with left.files.lock(f"agents/run/{A}") as alone:
        assert alone
        left.sweep()
    assert left.has("results") == {A}
    left.sweep()
    assert left.has("results") == set()


def test_the_workspace_of_a_conversation_stays(left: LeftBehind) -> None:
    left.run(A, begun=40, ended=39, session="notes")
    left.run(B, begun=40, ended=39, session=C)
    begun = left.store.begun(B)
    assert begun is not None
    left.store.continue_with(begun, [], ())
    left.run(C, begun=40, ended=39)
    gone = left.sweep()
    assert gone["retired"].count == 3
    assert left.has("workspaces") == {"notes", C}


def test_a_workspace_in_which_another_run_works_stays(left: LeftBehind) -> None:
    left.run(A, begun=40, ended=39)
    left.run(B, begun=1, workspace=left.home / "workspaces" / A / "inner")
    left.sweep()
    assert left.has("workspaces") == {A}


def test_a_folder_of_the_users_own_is_never_touched(left: LeftBehind, tmp_path: Path) -> None:
    left.run(A, begun=40, ended=39, workspace=tmp_path / "mine")
    (left.home / "workspaces" / A).mkdir(parents=True)
    left.sweep()
    assert (tmp_path / "mine" / "made.txt").exists()
    assert left.has("workspaces") == {A}, "nobody knows whose it is"


def test_an_empty_workspace_is_removed(left: LeftBehind) -> None:
    left.run(A, begun=40, ended=39)
    (left.home / "workspaces" / A / "made.txt").unlink()
    assert left.sweep()["workspaces"].count == 1
    assert left.has("workspaces") == set()
    assert Trash(left.home / "trash").list() == ()


def team(left: LeftBehind, run_id: str, ended: float) -> Path:
    workspace = left.home / "workspaces" / run_id
    store = TeamStore(left.files, run_id)
    store.begin(
        TeamBegun(run_id=run_id, goal="g", coordinator=operator(), specialists={}, options=TeamOptions(), plan=None,
                  user="ann", workspace=str(workspace), started_at=left.ago(ended + 1))
    )  # fmt: skip
    store.end(
        TeamResult(run_id=run_id, agent="operator", goal="g", status="done", answer=TeamAnswer(), outcomes=(),
                   plan=TeamPlan(tasks=()), ended_at=left.ago(ended))
    )  # fmt: skip
    return workspace


def test_the_workspace_of_a_team_goes_when_the_team_and_all_its_agents_ended_long_ago(left: LeftBehind) -> None:
    left.run(A, begun=40, ended=39, workspace=team(left, "old-team", 38))
    left.run(B, begun=40, ended=39, workspace=team(left, "new-team", 2))
    left.run(C, begun=40, ended=39, status="limited", code="HANDED_OFF", workspace=team(left, "waiting-team", 38))
    left.sweep()
    assert left.has("workspaces") == {"new-team", "waiting-team"}


def test_a_damaged_record_is_told_and_stops_no_other(left: LeftBehind) -> None:
    left.run(A, begun=40, ended=39)
    left.run(B, begun=40, ended=39)
    left.files.put_bytes(f"agents/runs/{A}/result.json", b"{}")
    gone = left.sweep()
    assert [A in text for text in gone["retired"].troubles] == [True]
    assert left.has("results") == {A}


def test_links_are_not_followed(left: LeftBehind, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("mine")
    for run_id in (A, B):
        left.run(run_id, begun=40, ended=39)
    (left.home / "results" / A / "link").symlink_to(precious)
    aged(left.home / "results" / A, left.ago(39))
    (left.home / "workspaces" / A / "link").symlink_to(precious)
    for name in ("results", "workspaces"):  # of B the folder itself is a link
        folder = left.home / name / B
        folder.rename(tmp_path / f"{name}-of-b")
        folder.symlink_to(tmp_path / f"{name}-of-b")
        aged(folder, left.ago(39))
    gone = left.sweep()
    assert left.has("results") == left.has("workspaces") == {B}
    assert "is a link" in gone["results"].troubles[0]
    Trash(left.home / "trash").purge(-1)
    assert (precious / "file").read_text() == "mine"
    assert (tmp_path / "results-of-b" / "one").exists()
    assert (tmp_path / "workspaces-of-b" / "made.txt").exists()


@pytest.mark.parametrize("name", ["results", "runs", "workspaces", "trash", "effects"])
def test_a_link_in_the_place_of_a_folder_of_ours_is_refused(left: LeftBehind, tmp_path: Path, name: str) -> None:
    left.run(A, begun=40, ended=39)
    moved = tmp_path / "moved"
    (left.home / name).mkdir(exist_ok=True)
    (left.home / name).rename(moved)
    (left.home / name).symlink_to(moved)
    before_it = sorted(moved.rglob("*"))
    with pytest.raises(NotAllowed):
        left.sweep()
        purge_trash(left.home, 0)
        forget_effects(left.home, 0)
    assert sorted(moved.rglob("*")) == before_it


def test_old_trash_is_deleted_for_good(left: LeftBehind, tmp_path: Path) -> None:
    assert purge_trash(left.home, 0).count == 0
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "file").write_text("hello")
    Trash(left.home / "trash").put(Workspace(tmp_path / "work"), "file")
    assert purge_trash(left.home, DAY_S).count == 0
    gone = purge_trash(left.home, -1)
    assert (gone.count, gone.size_bytes) == (1, 5)


async def killed(ledger: EffectLedger, effect_id: str) -> None:
    """Leave an effect as a killed run does."""

    async def dies() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await ledger.once(effect_id, dies)


async def happens() -> str:
    return "done"


async def test_old_effects_are_forgotten_but_those_in_doubt_never(left: LeftBehind) -> None:
    assert forget_effects(left.home, 0).count == 0
    ledger = EffectLedger(left.home / "effects")
    await ledger.once(f"{A}/1", happens)
    await killed(ledger, f"{A}/2")
    assert forget_effects(left.home, DAY_S).count == 0
    gone = forget_effects(left.home, -1)
    assert gone.count == 1
    assert gone.size_bytes > 50
    assert [one.effect_id for one in in_doubt(ledger, left.files)] == [f"{A}/2"]


async def test_what_a_run_at_work_has_begun_is_not_in_doubt(left: LeftBehind) -> None:
    ledger = EffectLedger(left.home / "effects")
    for effect_id in (f"{A}/1", f"{B}/1", f"{B}/2/3"):
        await killed(ledger, effect_id)
    with left.files.lock(f"agents/run/{A}"):
        assert [one.effect_id for one in in_doubt(ledger, left.files)] == [f"{B}/1", f"{B}/2/3"]


def test_a_sweep_killed_at_any_moment_is_finished_by_the_next(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.blocks.crashes", "tests.tasks.agents.sweep_crashes", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert all(int(points) > 10 for points in ran.stdout.split())
