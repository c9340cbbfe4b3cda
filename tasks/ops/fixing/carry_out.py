"""Tests put right, one after the other: look how they fail, have a fix proposed, run it thrice, make its branch."""

import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from blocks.errors import NotAllowed, NotFound
from blocks.plain_text import plain
from blocks.progress import in_thread
from blocks.sandbox import open_sandbox
from tasks.ops.asking import Model, model_for
from tasks.ops.change.config import is_test
from tasks.ops.change.git import Repository
from tasks.ops.ci.history import came
from tasks.ops.ci.junit import Attempt, read_junit
from tasks.ops.deed import Deed, Outcome
from tasks.ops.fixing.branch import PREFIX, commit_of, make_branch, tree_with
from tasks.ops.fixing.guard import faults
from tasks.ops.fixing.history import SourceChanges, changes_between
from tasks.ops.fixing.propose import asked_of
from tasks.ops.fixing.request import FixAsked
from tasks.ops.fixing.result import Fix, FixReport
from tasks.ops.fixing.rules import Failing, Proposal, proposed
from tasks.ops.fixing.run_tests import Ran, Runner
from tasks.ops.performer import Performer

RUNS, NO_TESTS = 3, 5


@dataclass
class Work:
    """Tests of one repository, being put right.

    Attributes:
        performer: Does the deeds.
        repository: Whose tests.
        base: The commit on which they fail.
        asked: How.
        runner: Runs them.
        changes: What changed in the sources.
        model: Whom to ask where no rule has a fix.
        pyproject: The project's.
        done: Fixes so far, by the tree they make.
    """

    performer: Performer
    repository: Repository
    base: str
    asked: FixAsked
    runner: Runner
    changes: SourceChanges
    model: Model
    pyproject: str = ""
    done: dict[str, Fix] = field(default_factory=dict[str, Fix])


async def put_right(performer: Performer, asked: FixAsked) -> FixReport:
    """Put tests right, each fix on a branch of its own.

    Raises:
        BadInput, NotFound: repository, commits, files or interpreter cannot be used.
        Unsupported: there is no sandbox here; nothing of the repository runs without.
        EngineFailed: git failed.
    """
    async with _working(performer, asked) as work:
        files = await _files(work)
        fixes: list[Fix] = []
        left_out = 0
        for file in files:
            ran = await _ran(work, file, "before")
            failing = [] if ran.trouble else list(ran.failed)
            fixes += [_fix(file, file, "failed", why=ran.trouble)] if ran.trouble else []
            if not failing and not ran.trouble:
                fixes.append(_fix(file, file, "does_not_fail", why="all its tests pass here"))
            for test in failing:
                if len(fixes) >= asked.most:
                    left_out += 1
                    continue
                fixes.append(await _put_right(work, file, ran, ran.tests[test]))
        report = FixReport(
            repository=asked.repository,
            base=work.base,
            run_id=performer.run_id,
            fixes=tuple(_joined(fixes)),
            left_out=left_out,
            sandbox=work.runner.sandbox.name,
            dry_run=performer.dry_run,
        )
    return FixReport.model_validate(performer.redactor.value(report.model_dump(mode="json")))


@asynccontextmanager
async def _working(performer: Performer, asked: FixAsked) -> AsyncGenerator[Work]:
    repository = await Repository.opened(Path(asked.repository))
    base = await repository.commit(asked.base, "base")
    try:
        since = await repository.commit(asked.since or f"{base}^", "since")
    except NotFound:
        if asked.since:
            raise
        since = base  # it is the first commit of all
    pyproject = await repository.content(base, "pyproject.toml") or b""
    sandbox = open_sandbox("bubblewrap", readable=asked.readable())
    async with model_for(performer.user, performer.flow, performer.redactor, wanted=performer.ask_model) as model:
        with TemporaryDirectory(prefix="c500-fixing-") as folder:
            tree = Path(folder) / "tree"
            tree.mkdir()
            await repository.export(base, tree)
            yield Work(
                performer=performer,
                repository=repository,
                base=base,
                asked=asked,
                runner=Runner(sandbox, tree, asked.interpreter(), asked.environment, asked.wall_s),
                changes=await changes_between(repository, since, base),
                model=model,
                pyproject=pyproject.decode("utf-8", "replace"),
            )


async def _files(work: Work) -> list[str]:
    """The files of tests that are looked at. Raises `NotFound`, `BadInput`."""
    tests = await in_thread(read_junit, [Path(name) for name in work.asked.junit])
    found = dict.fromkeys(work.asked.tests)
    for attempts in tests.values():
        if came(attempts) == "failed" and (path := _path_of(attempts[-1], work.changes.paths)):
            found[path] = None
    for path in found:
        if path not in work.changes.paths or not path.endswith(".py") or not is_test(path):
            raise NotFound(f"{path!r:.200} is no file of tests of this commit", fix="check the path", field="tests")
    return list(found)


def _path_of(attempt: Attempt, paths: frozenset[str]) -> str | None:
    """The file of a test, by what JUnit files say of it."""
    if attempt.file in paths:
        return attempt.file
    words = attempt.test.split("[")[0].split(".")
    for end in range(len(words), 0, -1):
        if (path := "/".join(words[:end]) + ".py") in paths:
            return path
    return None


async def _put_right(work: Work, file: str, before: Ran, attempt: Attempt) -> Fix:
    try:
        text = (work.runner.tree / file).read_bytes().decode()
    except UnicodeDecodeError:
        return _fix(attempt.test, file, "no_fix", why="the file is no UTF-8 text")
    failing = Failing(attempt, file, text, work.changes, work.pyproject)
    proposal = proposed(failing) or await asked_of(work.model, failing)
    if proposal is None:
        return _fix(attempt.test, file, "no_fix", why="no rule has a fix that is certain")
    if wrong := faults(text, proposal, work.asked.allow):
        return _fix(attempt.test, file, "refused", proposal, why=f"{proposal.why}; but {'; '.join(wrong)}")
    try:
        tree = await tree_with(work.repository, work.base, file, proposal.text)
    except NotAllowed as error:
        return _fix(attempt.test, file, "refused", proposal, why=error.message)
    if (known := work.done.get(tree)) is None:
        known = work.done[tree] = await _tried(work, file, before, attempt, proposal, tree)
    return known.model_copy(update={"test": attempt.test})


async def _tried(work: Work, file: str, before: Ran, attempt: Attempt, proposal: Proposal, tree: str) -> Fix:
    diff = (await work.repository.diff(work.base, tree)).decode("utf-8", "replace")
    runs: list[int] = []
    still: tuple[str, ...] = ()
    for number in range(1, RUNS + 1):
        ran = await _ran(work, file, f"fix-{tree[:12]}-{number}", proposal.text)
        still = tuple(test for test in ran.failed if test in before.failed and test != attempt.test)
        if wrong := not_passed(before, ran, attempt, skips=proposal.skips):
            why = f"{proposal.why}; but in run {number} of {RUNS}: {wrong}"
            return _fix(attempt.test, file, "did_not_pass", proposal, why=why, diff=diff, runs=tuple(runs))
        runs.append(len(ran.passed))
    fix = _fix(attempt.test, file, "fixed", proposal, why=proposal.why, diff=diff, runs=tuple(runs))
    return await _kept(work, fix.model_copy(update={"still_failing": still}), tree)


def not_passed(before: Ran, ran: Ran, attempt: Attempt, *, skips: bool) -> str:
    """Why a run with a fix does not count, in words; empty: it does.

    The test itself must pass, and whatever of its file passed before. Where the file could not even be loaded before,
    all of it must pass.
    """
    if ran.trouble:
        return ran.trouble
    now = ran.tests.get(attempt.test)
    was_loaded = bool(before.passed) or now is not None
    if not ran.failed and ran.exit_code != (NO_TESTS if skips and not ran.passed else 0):
        return f"pytest ended with {ran.exit_code}"
    if skips:
        return "its file does not pass, or is not skipped" if ran.failed else ""
    if was_loaded:
        if now is None or now.outcome != "passed":
            return f"it ended {now.outcome if now else 'nowhere'}"
        lost = [test for test in before.passed if test not in ran.passed]
        new = [test for test in ran.failed if test not in before.tests]
        return f"{plain((lost or new)[0])} does not pass any more" if lost or new else ""
    if ran.failed:
        others = len(ran.failed) - 1
        more = f" and {others} other{'' if others == 1 else 's'} fail" if others else " fails"
        return f"{plain(ran.failed[0])}{more}; {len(ran.passed)} of the file pass"
    return "" if ran.passed else "no test of the file passes"


async def _kept(work: Work, fix: Fix, tree: str) -> Fix:
    """The fix as a branch."""
    branch = branch_of(fix.test, tree)
    commit = await commit_of(work.repository, work.base, tree, work.performer.redactor.text(message_of(fix)))

    async def make() -> Mapping[str, str]:
        await make_branch(work.repository, branch, commit)
        return {"branch": branch, "commit": commit}

    deed = Deed(
        name=f"branch/{tree[:16]}",
        tool="make_branch",
        arguments={"repository": str(work.repository.git_dir), "branch": branch, "commit": commit},
        says=f"keep a fix of {plain(fix.test)[:200]} as the branch {branch}",
        risk="low",
        reversible=True,
        repeatable=True,
    )
    outcome = await work.performer.do(deed, make)
    if outcome.status == "done":
        return fix.model_copy(update={"branch": branch, "commit": commit})
    if outcome.status == "planned":
        return fix.model_copy(update={"status": "planned", "branch": branch})
    status = "refused" if outcome.status == "refused" else "failed"
    return fix.model_copy(update={"status": status, "why": outcome.why or _error(outcome)})


async def _ran(work: Work, file: str, name: str, text: str | None = None) -> Ran:
    """A run of a file of tests, by the rules and in the audit."""
    found: list[Ran] = []

    async def run() -> int:
        found.append(await work.runner.run(file, text))
        return found[0].exit_code

    deed = Deed(
        name=f"run/{sha256(file.encode('utf-8', 'replace')).hexdigest()[:12]}/{name}",
        tool="run_in_sandbox",
        arguments={"program": work.asked.interpreter(), "file": file},
        says=f"run the tests of {plain(file)[:200]} in the sandbox",
        risk="low",
        read_only=True,
    )
    outcome = await work.performer.do(deed, run)
    return found[0] if found else Ran(tests={}, exit_code=-1, trouble=outcome.why or _error(outcome))


def branch_of(test: str, tree: str) -> str:
    """Name of a fix's branch: for people the test's, for certainty the tree's."""
    name = re.sub(r"[^a-z0-9]+", "-", test.lower().rsplit(".", 1)[-1])[:40].strip("-")
    return f"{PREFIX}/{name or 'test'}-{tree[:10]}"


def message_of(fix: Fix) -> str:
    """The message of a fix's commit; the same for the same fix."""
    lines = [
        f"Put {plain(fix.test)[:60]} right",
        "",
        f"{plain(fix.why)[:500]}.",
        f"Proposed by {plain(fix.rule)[:100]}; {plain(fix.file)[:300]} passed {RUNS} times in a sandbox.",
    ]
    return "\n".join(lines) + "\n"


def _joined(fixes: list[Fix]) -> list[Fix]:
    """One fix for all tests that it puts right."""
    first: dict[str, Fix] = {}
    rest: list[Fix] = []
    for fix in fixes:
        if fix.status not in ("fixed", "planned"):
            rest.append(fix)
        elif fix.branch in first:
            known = first[fix.branch]
            first[fix.branch] = known.model_copy(update={"with_tests": (*known.with_tests, fix.test)})
        else:
            first[fix.branch] = fix
    return [*first.values(), *rest]


def _fix(test: str, file: str, status: str, proposal: Proposal | None = None, **facts: object) -> Fix:
    rule = proposal.rule if proposal else ""
    return Fix.model_validate({"test": test, "file": file, "status": status, "rule": rule, **facts})


def _error(outcome: Outcome) -> str:
    return outcome.error.message if outcome.error else ""
