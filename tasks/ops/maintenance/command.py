"""Commands of your own."""

from tasks.ops.maintenance.doing import OnHost
from tasks.ops.maintenance.plan import Command
from tasks.ops.maintenance.result import TaskResult
from tasks.ops.on_host import result_of


async def run_own_command(at: OnHost, task: Command) -> TaskResult:
    """Run it; where the check fails afterwards, take it back. See `Command`."""
    done = await at.do(
        "run",
        task.argv,
        " ".join(task.argv),
        risk=task.risk,
        read_only=not task.changes,
        reversible=task.undo is not None,
        repeatable=task.repeatable,
    )
    failed = at.not_done(done)
    if failed is not None and done.status != "done":
        return failed
    if failed is None and (unwell := await at.unwell()) is not None:
        failed = at.result("failed", "the check failed afterwards", unwell)
    if failed is None:
        lines = result_of(done).stdout.strip().splitlines()
        return at.result("changed" if task.changes else "ok", lines[-1] if lines else "done", lines[-10:])
    if task.undo is None:
        return failed
    undone = at.not_done(
        await at.do("undo", task.undo, "take it back", consent="rules", reversible=True, repeatable=True)
    )
    told = "; it was taken back" if undone is None else f"; taking it back failed, too: {undone.summary}"
    return failed.model_copy(update={"summary": failed.summary + told})
