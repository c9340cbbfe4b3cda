"""Removal of what Docker keeps and nothing uses."""

import re

from tasks.ops.maintenance.doing import OnHost, said
from tasks.ops.maintenance.plan import DockerPrune
from tasks.ops.maintenance.result import TaskResult
from tasks.ops.on_host import result_of

RECLAIMED = re.compile(r"^Total(?: reclaimed space)?:\s*(\S+)", re.MULTILINE)


async def prune_docker(at: OnHost, task: DockerPrune) -> TaskResult:
    """Remove what the task names; see `DockerPrune`."""
    looked = await at.look("docker", "system", "df")
    if not looked.ok:
        return at.result("failed", "docker does not answer", said(looked))
    freed: list[str] = []
    for what in task.what:
        lost = what == "volume"  # what lies in a volume is nowhere else
        done = await at.do(
            f"prune-{what}",
            _argv(what, task.older_than_h),
            f"remove every {what} that nothing uses",
            repeatable=True,
            reversible=not lost,
            risk="high" if lost else "medium",
        )
        if (failed := at.not_done(done)) is not None:
            if failed.status == "planned":
                continue
            return failed
        freed += [f"{what}: {one}" for one in RECLAIMED.findall(result_of(done).stdout)[-1:]]
    if at.performer.dry_run:
        return at.result("planned", f"would prune {', '.join(task.what)}", looked.stdout.splitlines())
    if (unwell := await at.unwell()) is not None:
        return at.result("failed", "the check failed after the pruning", unwell)
    return at.result("changed", f"freed {', '.join(freed) or 'nothing'}")


def _argv(what: str, older_than_h: int) -> tuple[str, ...]:
    if what == "volume":  # knows no filter by age
        return ("docker", "volume", "prune", "--force")
    everything = ("--all",) if what in ("image", "builder") else ()
    return ("docker", what, "prune", "--force", *everything, "--filter", f"until={older_than_h}h")
