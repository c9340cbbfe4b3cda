"""What is cleaned, and how: settings, and what CLEANUP_FILE says beyond them."""

from pathlib import Path

from pydantic import Field, TypeAdapter, model_validator

from blocks.model import Frozen
from blocks.settings import Settings
from blocks.yaml_file import read_yaml
from tasks.ops.cleanup.cache import CacheRules
from tasks.ops.cleanup.rules import Retention, Tree

FIX = "correct the file; docs/operations/cleanup.md shows its form"
SERVICE_LOGS = ("c500.jsonl", "service/*.log")
"""What C500 itself writes now; rotated ones have other names."""


class CleanupPlan(Frozen):
    """The whole of what is cleaned.

    Attributes:
        logs: How long log files of LOG_DIR are kept.
        audio: How long audio of jobs is kept.
        cache: Which keys of Redis are a cache.
        trees: More folders of log files, of other programs.
        disks: More places whose disks are watched.
    """

    logs: Retention = Retention()
    audio: Retention = Retention()
    cache: CacheRules = CacheRules()
    trees: tuple[Tree, ...] = ()
    disks: tuple[Path, ...] = Field(default=())

    @model_validator(mode="after")
    def _audio_by_age(self) -> "CleanupPlan":
        if self.audio.keep_newest or self.audio.keep_most is not None or self.audio.compress_days is not None:
            # Numbers count within a folder, which would be those of one job.
            raise ValueError("audio is kept by days alone, without keep_newest, keep_most and compress_days")
        return self

    @model_validator(mode="after")
    def _names_differ(self) -> "CleanupPlan":
        names = [tree.name for tree in self.trees]
        if len({*names, "logs", "audio", "results", "redis"}) != len(names) + 4:
            raise ValueError("each of trees needs a name of its own, and none is `logs`, `audio`, `results` or `redis`")
        return self


def read_plan(chosen: Settings) -> CleanupPlan:
    """The plan in force.

    Raises:
        NotFound: CLEANUP_FILE names no file.
        BadInput: it is wrong; each fault with its line.
    """
    given = CleanupPlan()
    if chosen.cleanup_file is not None:
        text = read_yaml(chosen.cleanup_file.expanduser(), fix=FIX, field="CLEANUP_FILE")
        given = text.read_as(TypeAdapter(CleanupPlan)) if text.content is not None else given
    return given.model_copy(
        update={
            "logs": _with_days(given.logs, chosen.days_to_keep),
            "audio": _with_days(given.audio, chosen.retention_days),
        }
    )


def log_trees(plan: CleanupPlan, log_dir: Path) -> tuple[Tree, ...]:
    """The folders of log files that are cleaned."""
    kept = plan.logs.model_copy(update={"protected": (*plan.logs.protected, *SERVICE_LOGS)})
    return Tree(name="logs", root=log_dir, retention=kept), *plan.trees


def watched(plan: CleanupPlan, chosen: Settings) -> tuple[Path, ...]:
    """The places whose disks are watched."""
    return chosen.log_dir, chosen.audio_dir, chosen.agents_home, *plan.disks, *(tree.root for tree in plan.trees)


def at_once(retention: Retention) -> Retention:
    """The same rules without the trash: what goes frees its place at once. Nothing is compressed, which needs room."""
    return retention.model_copy(update={"trash_days": 0, "compress_days": None})


def _with_days(retention: Retention, days: float) -> Retention:
    return retention if "days" in retention.model_fields_set else retention.model_copy(update={"days": days})
