"""Rotation of logs by logrotate."""

from tasks.ops.maintenance.doing import OnHost, said
from tasks.ops.maintenance.plan import LogRotation
from tasks.ops.maintenance.result import TaskResult

MB = 10**6


async def rotate_logs(at: OnHost, task: LogRotation) -> TaskResult:
    """Rotate what logrotate finds due; see `LogRotation`."""
    state = ("--state", task.state) if task.state else ()
    tried = await at.look("logrotate", "--debug", *state, task.config)
    if not tried.ok:
        return at.result("failed", f"logrotate cannot use {task.config}", said(tried))
    before = await _bytes(at, task)
    done = await at.do("rotate", ("logrotate", *state, task.config), "rotate logs", reversible=True, repeatable=True)
    if (failed := at.not_done(done)) is not None:
        return failed
    after = await _bytes(at, task)
    if (unwell := await at.unwell()) is not None:
        return at.result("failed", "the check failed after the rotation", unwell)
    if task.measure is None:
        return at.result("ok", f"what {task.config} finds due is rotated")
    return at.result("ok", f"{task.measure}: {before / MB:.1f} MB before, {after / MB:.1f} MB after")


async def _bytes(at: OnHost, task: LogRotation) -> int:
    """Of the folder that is measured."""
    if task.measure is None:
        return 0
    measured = await at.look("du", "--summarize", "--block-size=1", "--one-file-system", task.measure)
    first = measured.stdout.split(maxsplit=1)
    return int(first[0]) if first and first[0].isdigit() else 0
