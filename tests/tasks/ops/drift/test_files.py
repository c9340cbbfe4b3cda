"""Files against what is declared of them, and put right where that is marked as safe."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from blocks.errors import BadInput, NotFound
from blocks.hosts import Inventory, Machine, read_inventory
from blocks.hosts.inventory import ONLY_HERE
from blocks.hosts.local import LocalHost
from blocks.store import open_store
from tasks.ops.drift.correct import corrections_of, take_back
from tasks.ops.drift.declared import read_declared
from tasks.ops.drift.report import DriftReport, headline, report_markdown
from tests.fakes.sshd import running_sshd
from tests.tasks.ops.conftest import MakePerformer
from tests.tasks.ops.drift.conftest import Detect, of
from tests.tasks.ops.killing import COMMANDS, killed_at


def changes(argv: Sequence[str]) -> bool:
    """Whether a command does not only look."""
    return argv[0] not in ("stat", "sha256sum")


def wrote(path: Path, content: str, mode: int = 0o644) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)
    return path


def report(found: Any) -> DriftReport:
    return DriftReport(run_id="run-1", declared="declared.yaml", dry_run=False, found=tuple(found))


async def test_what_is_as_declared_is_no_drift(detect: Detect, tmp_path: Path) -> None:
    path = wrote(tmp_path / "etc/app.conf", "port = 80\n", 0o640)
    file = {"path": str(path), "content": "port = 80\n", "mode": "0640", "owner": path.owner(), "group": path.group()}
    found = await detect(of(files=[file, {"path": str(tmp_path / "etc"), "kind": "folder"}]))
    assert [one.state for one in found] == ["same", "same"] and headline(report(found)).startswith("no drift")


async def test_missing_unexpected_and_drifted_are_told_with_their_difference(detect: Detect, tmp_path: Path) -> None:
    drifted, there = wrote(tmp_path / "a", "port = 80\nhost = x\n", 0o600), wrote(tmp_path / "b", "")
    files = [
        {"path": str(drifted), "content": "port = 81\nhost = x\n", "mode": "0644"},
        {"path": str(there), "state": "absent"},
        {"path": str(tmp_path / "c"), "content": "new"},
    ]
    found = await detect(of(files=files))
    assert [one.state for one in found] == ["drifted", "unexpected", "missing"]
    assert {one.field for one in found[0].differences} == {"mode", "sha256"}
    assert "-port = 81\n+port = 80" in found[0].diff and " host = x" in found[0].diff
    assert drifted.read_text() == "port = 80\nhost = x\n" and there.exists() and not (tmp_path / "c").exists()
    assert headline(report(found)) == "drift: 1 drifted, 1 missing, 1 unexpected, 0 as declared"


async def test_secrets_do_not_show(detect: Detect, tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n"
    files = [
        ("a", "password = hunter2-old\nport = 80\n", "password = hunter2-new\nport = 81\n", {}),
        ("b", key.format("QUJDREVGR0g0"), key.format("WFlaQUJDREVG"), {}),
        ("c", "pear\n", "apple\n", {"secret": True}),
    ]
    declared = [{"path": str(wrote(tmp_path / n, there)), "content": told, **more} for n, there, told, more in files]
    found = await detect(of(files=declared))
    text = report_markdown(report(found)) + report(found).model_dump_json()
    assert [one.state for one in found] == ["drifted"] * 3 and "+port = 80" in found[0].diff
    for secret in ("hunter2", "QUJDREVG", "WFlaQUJD", "pear", "apple"):
        assert secret not in text, secret


async def test_only_what_is_marked_is_put_right_and_can_be_had_back(
    detect: Detect, tmp_path: Path, make_performer: MakePerformer
) -> None:
    safe, other = wrote(tmp_path / "a", "old", 0o600), wrote(tmp_path / "b", "old")
    gone, new = wrote(tmp_path / "c", "gone"), tmp_path / "d"
    files = [
        {"path": str(safe), "content": "new", "mode": "0644", "correct": True},
        {"path": str(other), "content": "new"},
        {"path": str(gone), "state": "absent", "correct": True},
        {"path": str(new), "content": "new", "correct": True},
    ]
    found = await detect(of(files=files))
    assert [one.correction for one in found] == ["done", "", "done", "done"]
    assert (safe.read_text(), safe.stat().st_mode & 0o777, other.read_text()) == ("new", 0o644, "old")
    assert not gone.exists() and new.read_text() == "new"
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o755 and (
        tmp_path / "kept/run-1"
    ).stat().st_mode & 0o777 == 0o700
    assert {one.state for one in await detect(of(files=files), run_id="run-2")} == {"same", "drifted"}

    other.write_text("whatever")
    outcomes = await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    assert {one.status for one in outcomes} == {"done"} and len(outcomes) == 3
    assert (safe.read_text(), safe.stat().st_mode & 0o777, gone.read_text()) == ("old", 0o600, "gone")
    assert not new.exists() and other.read_text() == "whatever"


async def test_what_somebody_changed_since_is_not_taken_back(
    detect: Detect, tmp_path: Path, make_performer: MakePerformer
) -> None:
    path = wrote(tmp_path / "a", "old")
    await detect(of(files=[{"path": str(path), "content": "new", "correct": True}]))
    path.write_text("by a person")
    (outcome,) = await take_back(make_performer(run_id="back"), ONLY_HERE, corrections_of(open_store(), "run-1"))
    assert outcome.status == "failed" and outcome.error and outcome.error.code == "CONFLICT"
    assert path.read_text() == "by a person"


async def test_what_was_changed_after_the_look_is_not_overwritten(
    detect: Detect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, run = wrote(tmp_path / "a", "old"), LocalHost.run

    async def while_it_is_kept(host: LocalHost, argv: Any, **more: Any) -> Any:
        if argv[0] == "cp":
            path.write_text("by a person")
        return await run(host, argv, **more)

    monkeypatch.setattr(LocalHost, "run", while_it_is_kept)
    (found,) = await detect(of(files=[{"path": str(path), "content": "new", "correct": True}]))
    assert found.correction == "failed" and "changed since" in found.corrected_why
    assert path.read_text() == "by a person"


async def test_a_dry_run_changes_nothing(detect: Detect, tmp_path: Path) -> None:
    path = wrote(tmp_path / "a", "old")
    (found,) = await detect(of(files=[{"path": str(path), "content": "new", "correct": True}]), dry_run=True)
    assert (found.state, found.correction) == ("drifted", "planned") and path.read_text() == "old"
    assert not (tmp_path / "kept").exists()
    with pytest.raises(NotFound):
        corrections_of(open_store(), "run-1")


async def test_who_must_agree_is_asked(detect: Detect, tmp_path: Path) -> None:
    path = wrote(tmp_path / "a", "old")
    (found,) = await detect(of(consent="one", files=[{"path": str(path), "content": "new", "correct": True}]))
    assert found.correction == "refused" and found.is_left and path.read_text() == "old"
    with pytest.raises(NotFound):
        corrections_of(open_store(), "run-1")


async def test_no_link_is_written_through(detect: Detect, tmp_path: Path) -> None:
    outside, link = wrote(tmp_path / "outside", "precious"), tmp_path / "link"
    link.symlink_to(outside)
    (found,) = await detect(of(files=[{"path": str(link), "content": "new", "correct": True}]))
    assert found.correction == "done" and link.read_text() == "new" and not link.is_symlink()
    assert outside.read_text() == "precious"


async def test_what_else_lies_in_a_folder_is_told_and_put_away_where_marked(detect: Detect, tmp_path: Path) -> None:
    folder = tmp_path / "conf.d"
    declared = wrote(folder / "a.conf", "a")
    stray, lines = wrote(folder / "; rm -rf $(x) `y`.conf", "b"), wrote(folder / "two\n; rm lines", "b")
    wrote(folder / "ignored~", "c")
    (folder / "sub").mkdir()
    state = of(files=[{"path": str(declared), "content": "a"}], only_declared=[{"path": str(folder), "ignore": ["*~"]}])
    found = await detect(state)
    assert [one.state for one in found] == ["same", *["unexpected"] * 3] and stray.exists()
    assert "\n; rm" not in report_markdown(report(found))
    state["targets"][0]["only_declared"][0]["correct"] = True
    found = await detect(state, run_id="run-2")
    assert {one.name: one.correction for one in found[1:]} == {
        str(stray): "done",
        str(folder / "sub"): "",
        str(lines): "refused",  # the policy takes no path with a line break
    }
    assert not stray.exists() and lines.exists()
    assert (folder / "sub").is_dir() and (folder / "ignored~").exists()


async def test_what_cannot_be_looked_at_is_not_no_drift(detect: Detect, tmp_path: Path, monkeypatch: Any) -> None:
    path, run = wrote(tmp_path / "a", "x"), LocalHost.run

    async def locked(host: LocalHost, argv: Any, **more: Any) -> Any:
        done = await run(host, argv, **more)
        update = {"exit_code": 1, "stdout": "", "stderr": "stat: cannot statx: Permission denied"}
        return done.model_copy(update=update) if argv[0] == "stat" else done

    monkeypatch.setattr(LocalHost, "run", locked)
    (found,) = await detect(of(files=[{"path": str(path), "state": "absent"}]))
    assert found.state == "unknown" and "Permission denied" in found.why
    assert headline(report([found])).startswith("not known")


async def test_a_host_that_cannot_be_reached_is_not_no_drift(detect: Detect, tmp_path: Path) -> None:
    path, known = wrote(tmp_path / "a", "x"), wrote(tmp_path / "known", "")
    inventory = Inventory([Machine(name="away", address="127.0.0.1", port=1, known_hosts=known), Machine(name="here")])
    found = {one.host: one for one in await detect(of(files=[{"path": str(path), "content": "x"}]), inventory)}
    assert (found["away"].state, found["here"].state) == ("unknown", "same")
    assert not report(found.values()).ok and "cannot be reached" in found["away"].why


async def test_large_and_binary_contents_are_compared(detect: Detect, tmp_path: Path) -> None:
    large, binary = tmp_path / "large", tmp_path / "binary"
    large.write_bytes(b"x" * 600_000), binary.write_bytes(b"\xff\x00")
    declared = [{"path": str(large), "content": "y"}, {"path": str(binary), "content": "y"}]
    found = await detect(of(files=declared))
    assert [one.state for one in found] == ["drifted", "drifted"]
    assert "600000 bytes" in found[0].diff and "no text" in found[1].diff


def test_a_run_that_was_killed_anywhere_goes_on_and_can_be_taken_back(
    detect: Detect, tmp_path: Path, make_performer: MakePerformer
) -> None:
    path = tmp_path / "a"

    def state() -> dict[str, Any]:
        return of(files=[{"path": str(path), "content": "new", "mode": "0640", "correct": True}])

    def run(name: str) -> Any:
        return detect(state(), owner=make_performer(run_id=name))

    moment, killed = 0, True
    while killed:
        moment += 1
        name = f"run-{moment}"
        wrote(path, "old", 0o604)
        killed = killed_at(moment, lambda name=name: run(name), *COMMANDS, counts=changes)
        assert path.read_text() in ("old", "new")
        asyncio.run(run(name))
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o640), moment
        corrections = corrections_of(open_store(), name)
        outcomes = asyncio.run(take_back(make_performer(run_id=f"back-{moment}"), ONLY_HERE, corrections))
        assert [one.status for one in outcomes] == ["done"]
        assert (path.read_text(), path.stat().st_mode & 0o777) == ("old", 0o604), moment
    assert moment > 12


async def test_a_host_over_ssh_is_put_right(detect: Detect, tmp_path: Path, make_performer: MakePerformer) -> None:
    folder = tmp_path / "sshd"
    folder.mkdir()
    drifted, new = wrote(tmp_path / "a b; $(x)", "old\xe9\n", 0o604), tmp_path / "new"
    files = [
        {"path": str(drifted), "content": "neu: ü\n", "mode": "0640", "correct": True},
        {"path": str(new), "content": "", "correct": True},
    ]
    with running_sshd(folder) as server:
        path = wrote(tmp_path / "inventory.yaml", "hosts:\n" + server.entry("web-1"))
        found = await detect(of(files=files), read_inventory(path))
        assert [(one.host, one.correction) for one in found] == [("web-1", "done")] * 2, found
        assert (drifted.read_text(), drifted.stat().st_mode & 0o777, new.read_text()) == ("neu: ü\n", 0o640, "")
        corrections = corrections_of(open_store(), "run-1")
        await take_back(make_performer(run_id="back"), read_inventory(path), corrections)
        assert (drifted.read_text(), drifted.stat().st_mode & 0o777) == ("old\xe9\n", 0o604) and not new.exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("targets: []\n", "nothing is declared"),
        ("targets: [{name: a, files: [{path: x}]}]\n", "files"),
        ("targets: [{name: a, files: [{path: /x, content: a, sha256: b}]}]\n", "sha256"),
        (f"targets: [{{name: a, files: [{{path: /x, sha256: {'a' * 64}, correct: true}}]}}]\n", "hash is no content"),
        ("targets: [{name: a}, {name: a}]\n", "name of another"),
        ("targets: [{name: a, packages: [{name: 'x*', version: '1'}]}]\n", "patterns"),
        ("targets: [{name: a, files: [{path: /x}, {path: /x}]}]\n", "declared twice"),
        ("kubernetes: [{name: a, manifests: [none.yaml]}]\n", "none.yaml"),
    ],
)
def test_faults_of_a_declared_state_are_told(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_declared(wrote(tmp_path / "declared.yaml", text))
    assert told in caught.value.message and caught.value.fix and caught.value.details["field"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
async def test_owners_are_put_right(detect: Detect, tmp_path: Path) -> None:
    path = wrote(tmp_path / "a", "x")
    os.chown(path, 12345, 12345)
    state: Callable[[bool], Any] = lambda correct: of(  # noqa: E731
        files=[{"path": str(path), "content": "x", "owner": "root", "group": "daemon", "correct": correct}]
    )
    (found,) = await detect(state(False))
    assert {one.field: one.actual for one in found.differences} == {"owner": "UNKNOWN", "group": "UNKNOWN"}
    (found,) = await detect(state(True), run_id="run-2")
    assert found.correction == "done" and (path.owner(), path.group()) == ("root", "daemon")
