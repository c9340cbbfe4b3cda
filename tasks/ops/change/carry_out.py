"""A review with everything around it: the change read, tools run in a sandbox, rules looked through, a model asked."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import Field

from blocks.errors import C500Error, Stopped, Unsupported
from blocks.model import Frozen
from blocks.progress import in_thread
from blocks.sandbox import Sandbox, open_sandbox
from tasks.ops.asking import Model, model_for
from tasks.ops.change.config import ReviewRules, read_rules
from tasks.ops.change.diff import ChangedFile, read_diff
from tasks.ops.change.file_rules import file_findings
from tasks.ops.change.git import Repository
from tasks.ops.change.line_rules import line_findings
from tasks.ops.change.looked_at import CONTENT_BYTES, Change
from tasks.ops.change.python_rules import swallowed
from tasks.ops.change.request import Asked
from tasks.ops.change.result import SEVERITIES, Finding, ReviewReport, Severity, ToolRun
from tasks.ops.change.tools import TOOLS, Said, Tool, argv_of, folders_of_python, said_by
from tasks.ops.deed import Deed
from tasks.ops.performer import Performer

MOST_FINDINGS, MOST_FILES_OF_TOOL, PATCH_CHARS = 500, 400, 40_000
TASK = (
    "You review a change. Name bugs, races, unsafe handling of input and broken contracts that the new lines bring in, "
    "with the file and the number of the new line. Name nothing about style, and nothing that you are not sure of."
)


class ModelFinding(Frozen):
    """What a model says of a line."""

    file: str = Field(max_length=1000)
    line: int
    severity: Severity
    message: str = Field(min_length=1, max_length=1000)


class ModelReview(Frozen):
    """What a model answers."""

    findings: tuple[ModelFinding, ...] = Field(max_length=50)


async def reviewed(performer: Performer, asked: Asked) -> ReviewReport:
    """Review a change; nothing is changed by it.

    Raises:
        BadInput, NotFound, TooLarge: change, repository or rules cannot be used.
        EngineFailed: git failed.
    """
    rules = await in_thread(read_rules, Path(asked.rules)) if asked.rules else ReviewRules()
    base, head, raw, repository = await _given(asked)
    files = await in_thread(read_diff, raw)
    change = Change(files, rules) if repository is None else await _looked_up(repository, files, rules, base, head)
    said, tools = ([], ()) if repository is None else await _tools(performer, repository, head, change)
    ours = [*line_findings(change, performer.redactor), *swallowed(change), *file_findings(change)]
    async with model_for(performer.user, performer.flow, performer.redactor, wanted=performer.ask_model) as model:
        models = await _models(model, raw.decode("utf-8", "replace"), change)
    found = _sorted(_wanted([*said, *ours, *models], rules))
    report = ReviewReport(
        subject=asked.subject,
        run_id=performer.run_id,
        base=base,
        head=head,
        files=len(files),
        added=sum(len(one.added) for one in files),
        removed=sum(len(one.removed) for one in files),
        findings=tuple(found[:MOST_FINDINGS]),
        left_out=max(0, len(found) - MOST_FINDINGS),
        tools=tools,
        fail_on=asked.fail_on,
        written_by=models[0].source.removeprefix("model ") if models else "rules",
    )
    return ReviewReport.model_validate(performer.redactor.value(report.model_dump(mode="json")))


async def _given(asked: Asked) -> tuple[str, str, bytes, Repository | None]:
    """Base, head and the diff; no repository for a bare diff."""
    if asked.diff:
        return "", "", await in_thread(asked.read), None
    repository = await Repository.opened(Path(asked.repository))
    head = await repository.commit(asked.head, "head")
    base = await repository.merge_base(await repository.commit(asked.base, "base"), head)
    return base, head, await repository.diff(base, head), repository


async def _looked_up(
    repository: Repository, files: tuple[ChangedFile, ...], rules: ReviewRules, base: str, head: str
) -> Change:
    before = {one.path: one for one in await repository.entries(base)}
    after = {one.path: one for one in await repository.entries(head)}
    old = [before[one.before] for one in files if one.before in before and before[one.before].size <= CONTENT_BYTES]
    new = [after[one.path] for one in files if one.path in after and after[one.path].size <= CONTENT_BYTES]
    contents = await repository.contents([one.blob for one in (*old, *new) if one.mode.startswith("100")])
    return Change(
        files,
        rules,
        before={one.path: contents[one.blob] for one in old if one.blob in contents},
        after={one.path: contents[one.blob] for one in new if one.blob in contents},
        sizes={path: one.size for path, one in after.items()},
    )


async def _tools(
    performer: Performer, repository: Repository, head: str, change: Change
) -> tuple[list[Finding], tuple[ToolRun, ...]]:
    try:
        sandbox = open_sandbox("bubblewrap", readable=folders_of_python())
    except Unsupported as error:
        # Without a boundary, no tool runs on what somebody else wrote.
        return [], tuple(ToolRun(tool=one.name, status="failed", why=error.message) for one in TOOLS)
    found: list[Finding] = []
    runs: list[ToolRun] = []
    with TemporaryDirectory(prefix="c500-review-") as folder:
        exported = set(await repository.export(head, Path(folder)))
        for tool in TOOLS:
            if tool.instead_of and any(one.tool == tool.instead_of and one.status != "absent" for one in runs):
                continue
            files = [one.path for one in change.standing() if one.suffix in tool.suffixes and one.path in exported]
            said, run = await _tool(performer, sandbox, tool, files[:MOST_FILES_OF_TOOL], Path(folder))
            fitting = [_as_finding(tool, one) for one in said if _is_changed(change, one)]
            found += fitting
            runs.append(run.model_copy(update={"findings": len(fitting)}))
    return found, tuple(runs)


async def _tool(
    performer: Performer, sandbox: Sandbox, tool: Tool, files: Sequence[str], folder: Path
) -> tuple[list[Said], ToolRun]:
    path = tool.path()
    if path is None:
        return [], ToolRun(tool=tool.name, status="absent", why=tool.to_have_it)
    if not files:
        return [], ToolRun(tool=tool.name, status="nothing")
    said: list[Said] = []

    async def run() -> int:
        done = await sandbox.run(argv_of(tool, path, files), workspace=folder, limits=tool.limits())
        try:
            said.extend(said_by(tool, done.stdout))
        except ValueError as error:
            why = done.killed or done.stderr.strip()[-200:] or str(error)
            raise Unsupported(f"it ended with {done.exit_code}: {why}", fix="run it by hand to see why") from None
        return len(said)

    deed = Deed(
        name=f"tool/{tool.name}",
        tool="run_in_sandbox",
        arguments={"program": path, "files": len(files)},
        says=f"run {tool.name} on {len(files)} changed files",
        risk="low",
        read_only=True,
    )
    try:
        outcome = await performer.do(deed, run)
    except Stopped:
        raise
    except C500Error as error:
        return [], ToolRun(tool=tool.name, status="failed", files=len(files), why=error.message)
    why = outcome.error.message if outcome.error else outcome.why
    return said, ToolRun(tool=tool.name, status="ran" if outcome.ok else "failed", files=len(files), why=why)


def _is_changed(change: Change, said: Said) -> bool:
    return any(one.path == said.file and said.line in one.added for one in change.files)


def _as_finding(tool: Tool, said: Said) -> Finding:
    return Finding(
        file=said.file,
        line=said.line,
        severity=said.severity,
        rule=f"{tool.name}:{said.code}",
        source=tool.name,
        message=said.message,
    )


async def _models(model: Model, patch: str, change: Change) -> list[Finding]:
    """What a model says, as far as it lies on new lines."""
    answer = await model.ask(TASK, patch[:PATCH_CHARS], ModelReview)
    if answer is None:
        return []
    lines = {one.path: one.added for one in change.standing()}
    return [
        Finding(
            file=one.file,
            line=one.line,
            severity=one.severity,
            rule="model",
            source=f"model {answer[1]}",
            message=one.message,
        )
        for one in answer[0].findings
        if one.line in lines.get(one.file, {})
    ]


def _wanted(findings: Iterable[Finding], rules: ReviewRules) -> list[Finding]:
    return [
        one.model_copy(update={"severity": rules.severity.get(one.rule, one.severity)})
        for one in dict.fromkeys(findings)
        if one.rule not in rules.without
    ]


def _sorted(findings: list[Finding]) -> list[Finding]:
    return sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.file, one.line or 0, one.rule))
