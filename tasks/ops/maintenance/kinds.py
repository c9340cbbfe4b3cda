"""Which function does which kind of task."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tasks.ops.maintenance.backups import verify_backups
from tasks.ops.maintenance.certificates import look_after_certificates
from tasks.ops.maintenance.command import run_own_command
from tasks.ops.maintenance.docker_prune import prune_docker
from tasks.ops.maintenance.doing import OnHost
from tasks.ops.maintenance.log_rotation import rotate_logs
from tasks.ops.maintenance.packages import update_packages
from tasks.ops.maintenance.result import TaskResult

Does = Callable[[OnHost, Any], Awaitable[TaskResult]]

KINDS: Mapping[str, Does] = {
    "package_updates": update_packages,
    "log_rotation": rotate_logs,
    "docker_prune": prune_docker,
    "backup_verification": verify_backups,
    "certificates": look_after_certificates,
    "command": run_own_command,
}
