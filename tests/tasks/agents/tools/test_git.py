"""Git in a repository that may have been made to run programs."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from blocks.errors import BadInput, EngineFailed, NotAllowed, NotFound
from tasks.agents.tools import git
from tasks.agents.tools.git.repository import open_repository
from tests.tasks.agents.tools.conftest import Hand, by_name

TOOLS = by_name(git.TOOLS)
STATUS, DIFF, LOG = TOOLS["git_status"], TOOLS["git_diff"], TOOLS["git_log"]
SHOW, COMMIT, BRANCH = TOOLS["git_show"], TOOLS["git_commit"], TOOLS["git_branch"]
ALL: list[tuple[Any, dict[str, Any]]] = [
    (STATUS, {}),
    (DIFF, {}),
    (DIFF, {"base": "HEAD"}),
    (LOG, {}),
    (SHOW, {}),
    (SHOW, {"path": "a.txt"}),
    (COMMIT, {"message": "more", "paths": ["a.txt"]}),
    (BRANCH, {"name": "other", "create": True}),
    (BRANCH, {}),
]


def run(folder: Path, *arguments: str) -> str:
    """Git as a person has it."""
    env = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ("-c", "user.name=Lan", "-c", "user.email=lan@example.com")
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, env=env, check=True, capture_output=True, text=True
    )
    return done.stdout


@pytest.fixture
def repository(folder: Path) -> Path:
    """A repository with one commit and a changed file, in the workspace itself."""
    run(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "a.txt").write_text("one\n")
    run(folder, "add", ".")
    run(folder, "commit", "--quiet", "-m", "first")
    (folder / "a.txt").write_text("one\ntwo\n")
    return folder


async def test_status_diff_log_and_show(hand: Hand, repository: Path) -> None:
    (repository / "new.txt").touch()
    assert await hand.use(STATUS) == "## main\n M a.txt\n?? new.txt\n"
    assert "+two\n" in await hand.use(DIFF)
    assert await hand.use(DIFF, staged=True) == "there is no difference"
    assert "+two\n" in await hand.use(DIFF, base="HEAD", paths=["a.txt"])
    assert await hand.use(DIFF, names_only=True) == "1\t0\ta.txt\n"
    assert "Lan: first" in await hand.use(LOG)
    assert "+one\n" in await hand.use(SHOW)
    assert await hand.use(SHOW, ref="main", path="a.txt") == "one\n"


async def test_a_commit_takes_the_named_files_alone(hand: Hand, repository: Path) -> None:
    (repository / "new.txt").write_text("n")
    (repository / "left.txt").write_text("l")
    run(repository, "add", "left.txt")
    made = await hand.use(COMMIT, message="# Thêm new", paths=["new.txt", "a.txt"])
    assert made["commit"] == run(repository, "rev-parse", "HEAD").strip()
    assert run(repository, "show", "--name-only", "--format=%an <%ae>%n%B", "HEAD").split("\n") == [
        "operator <operator@agents.invalid>",
        "# Thêm new",
        "",
        "Agent-Call: 00ff00ff00ff00ff/call-0",
        "",
        "",
        "a.txt",
        "new.txt",
        "",
    ]
    assert run(repository, "status", "--porcelain") == "A  left.txt\n"


async def test_a_deleted_file_is_committed(hand: Hand, repository: Path) -> None:
    (repository / "a.txt").unlink()
    await hand.use(COMMIT, message="away", paths=["a.txt"])
    assert run(repository, "ls-files") == ""


async def test_a_repeated_commit_is_made_once(hand: Hand, repository: Path) -> None:
    first = await hand.use(COMMIT, "call-1", message="more", paths=["a.txt"])
    assert await hand.use(COMMIT, "call-1", message="more", paths=["a.txt"]) == first
    assert len(run(repository, "log", "--format=%H").split()) == 2


async def test_the_first_commit_of_a_repository(hand: Hand, folder: Path) -> None:
    run(folder, "init", "--quiet")
    (folder / "a").touch()
    assert (await hand.use(COMMIT, message="first", paths=["a"]))["commit"]


async def test_nothing_to_commit_is_told(hand: Hand, repository: Path) -> None:
    await hand.use(COMMIT, message="more", paths=["a.txt"])
    with pytest.raises(BadInput, match="git commit"):
        await hand.use(COMMIT, message="again", paths=["a.txt"])
    with pytest.raises(NotFound, match="git add"):
        await hand.use(COMMIT, message="none", paths=["none.txt"])


async def test_branches_are_made_listed_and_switched(hand: Hand, repository: Path) -> None:
    made = await hand.use(BRANCH, name="fix/a", create=True)
    assert made["created"]
    assert (await hand.use(BRANCH, name="fix/a", create=True)) == {"branch": "fix/a", "created": False}
    assert "* fix/a" in await hand.use(BRANCH)
    await hand.use(BRANCH, name="main")
    assert run(repository, "branch", "--show-current") == "main\n"
    assert (repository / "a.txt").read_text() == "one\ntwo\n"
    with pytest.raises(NotFound):
        await hand.use(BRANCH, name="none")


async def test_changes_are_not_lost_by_switching(hand: Hand, repository: Path) -> None:
    run(repository, "stash", "--quiet")
    run(repository, "switch", "--quiet", "-c", "other")
    (repository / "a.txt").write_text("else\n")
    run(repository, "commit", "--quiet", "-am", "else")
    run(repository, "switch", "--quiet", "main")
    (repository / "a.txt").write_text("mine\n")
    with pytest.raises(BadInput, match="overwritten"):
        await hand.use(BRANCH, name="other")
    assert (repository / "a.txt").read_text() == "mine\n"


def hooks(folder: Path, mark: Path) -> None:
    for name in ("pre-commit", "post-checkout", "prepare-commit-msg", "commit-msg", "post-commit", "post-index-change"):
        hook = folder / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
        hook.chmod(0o755)


async def test_hooks_and_attributes_run_nothing(hand: Hand, repository: Path) -> None:
    hooks(repository, Path("hooked"))
    (repository / ".gitattributes").write_text("*.txt filter=evil diff=evil merge=evil\n")
    for tool, arguments in ALL:
        await hand.use(tool, **arguments)
    assert not (repository / "hooked").exists()


STARTING = {
    "filter.evil.clean": "touch hacked; cat",
    "filter.evil.process": "touch hacked",
    "diff.evil.textconv": "touch hacked; cat",
    "diff.evil.command": "touch hacked",
    "diff.external": "touch hacked",
    "core.fsmonitor": "touch hacked",
    "core.hooksPath": "evil",
    "core.pager": "touch hacked",
    "core.editor": "touch hacked",
    "core.sshCommand": "touch hacked",
    "core.worktree": "/",
    "core.attributesFile": "/etc/x",
    "gpg.program": "touch",
    "alias.status": "!touch hacked",
    "include.path": "evil",
    "includeIf.gitdir:/.path": "evil",
    "extensions.worktreeConfig": "true",
    "extensions.partialClone": "origin",
    "remote.origin.uploadpack": "touch hacked",
    "credential.helper": "!touch hacked",
    "interactive.diffFilter": "touch hacked",
}
"""Settings that have git start a program, or look elsewhere."""


async def test_settings_that_may_start_programs_are_refused(hand: Hand, repository: Path) -> None:
    (repository / ".gitattributes").write_text("*.txt filter=evil diff=evil\n")
    for setting, value in STARTING.items():
        section, _, key = setting.rpartition(".")
        name, _, sub = section.partition(".")
        header = f'[{name} "{sub}"]' if sub else f"[{name}]"
        (repository / ".git" / "config").write_text(f'[core]\n\tbare = false\n{header}\n\t{key} = "{value}"\n')
        with pytest.raises(NotAllowed, match="may start programs"):
            await open_repository(hand.place, ".")
    assert not (repository / "hacked").exists()


async def test_settings_that_cannot_be_read_are_refused(hand: Hand, repository: Path) -> None:
    (repository / ".git" / "config").write_text("[core\n")
    with pytest.raises(NotAllowed, match="cannot be read"):
        await open_repository(hand.place, ".")


async def test_every_tool_looks_at_the_settings(hand: Hand, repository: Path) -> None:
    run(repository, "config", "--file", ".git/config", "core.fsmonitor", "touch hacked")
    for tool, arguments in ALL:
        with pytest.raises(NotAllowed, match="may start programs"):
            await hand.use(tool, **arguments)
    assert not (repository / "hacked").exists()


async def test_usual_settings_are_accepted(hand: Hand, repository: Path) -> None:
    for setting, value in {
        "remote.origin.url": "https://example.com/a.git",
        "remote.origin.fetch": "+refs/heads/*:refs/remotes/origin/*",
        "branch.main.remote": "origin",
        "branch.main.merge": "refs/heads/main",
        "user.name": "Lan",
        "commit.gpgSign": "true",
    }.items():
        run(repository, "config", setting, value)
    assert (await hand.use(COMMIT, message="unsigned", paths=["a.txt"]))["commit"]


async def test_settings_of_the_user_are_not_read(hand: Hand, repository: Path) -> None:
    (repository / ".gitconfig").write_text("[core]\n\tfsmonitor = touch hacked\n")
    await hand.use(STATUS)
    assert not (repository / "hacked").exists()


@pytest.mark.parametrize("what", ["file", "link", "objects", "alternates", "commondir"])
async def test_a_repository_with_parts_elsewhere_is_refused(hand: Hand, repository: Path, what: str) -> None:
    inner, outside = repository / ".git", repository.parent / "outside.git"
    if what == "alternates":
        (inner / "objects" / "info" / "alternates").write_text("/var/lib/other/objects\n")
    elif what == "commondir":
        (inner / "commondir").write_text("/var/lib/other\n")
    elif what == "objects":
        (inner / "objects").rename(outside)
        (inner / "objects").symlink_to(outside)
    else:
        inner.rename(outside)
        inner.symlink_to(outside) if what == "link" else inner.write_text(f"gitdir: {outside}\n")
    with pytest.raises(NotAllowed):
        await hand.use(LOG)


async def test_a_broken_repository_does_not_lead_to_the_one_around_it(hand: Hand, repository: Path) -> None:
    (repository / "sub" / ".git").mkdir(parents=True)
    (repository / "sub" / ".git" / "config").touch()
    with pytest.raises(EngineFailed):
        await hand.use(STATUS, repository="sub")


async def test_a_repository_in_a_folder(hand: Hand, folder: Path) -> None:
    sub = folder / "-sub"
    sub.mkdir()
    run(sub, "init", "--quiet")
    (sub / "a").write_text("x")
    await hand.use(COMMIT, repository="-sub", message="first", paths=["a"])
    assert "operator: first" in await hand.use(LOG, repository="-sub")
    with pytest.raises(NotFound):
        await hand.use(STATUS)


async def test_a_ref_is_never_an_option_or_a_path(hand: Hand, repository: Path) -> None:
    for ref in ("--output=x", "-p", "HEAD:a.txt", "HEAD --all", ":/first", "", "HEAD\n", "@", "../x"):
        with pytest.raises(ValidationError):
            SHOW.arguments.model_validate({"ref": ref})
    for ref in ("HEAD..main", "a.txt", "HEAD^{tree}"):
        with pytest.raises(NotFound):
            await hand.use(SHOW, ref=ref)


async def test_a_path_is_never_an_option_or_a_pattern(hand: Hand, repository: Path) -> None:
    (repository / "--all").write_text("x")
    (repository / "*").write_text("x")
    (repository / "secret.txt").write_text("x")
    await hand.use(COMMIT, message="odd names", paths=["--all", "*"])
    assert run(repository, "show", "--name-only", "--format=", "HEAD") == "*\n--all\n"


@pytest.mark.parametrize("path", ["../a", "link/x"])
@pytest.mark.parametrize("tool", [COMMIT, DIFF, LOG, SHOW])
def test_paths_out_of_the_workspace_are_refused(hand: Hand, repository: Path, tool: Any, path: str) -> None:
    (repository / "link").symlink_to(repository.parent)
    arguments = {"path": path} if tool is SHOW else {"paths": [path]}
    with pytest.raises(NotAllowed):
        hand.touches(tool, **arguments, **({"message": "x"} if tool is COMMIT else {}))


def test_paths_are_those_of_the_repository() -> None:
    with pytest.raises(ValidationError):
        COMMIT.arguments.model_validate({"message": "x", "paths": ["/etc/passwd"]})


def test_rules_see_the_command(hand: Hand, repository: Path) -> None:
    touched = hand.touches(COMMIT, message="x", paths=["a.txt"])
    assert touched.argv == ("git", "commit", "--", "a.txt")
    assert touched.writes == (f"{repository}/.git",)
    assert hand.touches(BRANCH, name="main").writes == (str(repository),)
    assert hand.touches(BRANCH).writes == ()
