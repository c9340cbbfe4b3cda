"""Verification of backups: a backup that was never restored is none."""

import re
import statistics
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit, urlunsplit

from blocks.errors import EngineFailed
from tasks.ops.deed import Deed, Outcome
from tasks.ops.maintenance.doing import OnHost
from tasks.ops.maintenance.plan import BackupVerification
from tasks.ops.maintenance.result import TaskResult

T = TypeVar("T")

HOUR_S, MB = 3600, 10**6

TABLES = """
SELECT schemaname, tablename FROM pg_tables
WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2
"""


# tar(1), --list --verbose: `-rw-r--r-- 0/0  123 2026-11-22 10:00 etc/hosts`; links and folders begin otherwise.
PLAIN = re.compile(r"-\S+ \S+ +\d+ \S+ \S+ (?P<name>.+)")


class Backup(NamedTuple):
    """A file with a backup.

    Attributes:
        written_at: Unix time.
        size_bytes: Its size.
        path: Where it lies.
    """

    written_at: float
    size_bytes: int
    path: str


async def verify_backups(at: OnHost, task: BackupVerification) -> TaskResult:
    """Look at the newest backup and restore a sample of it; see `BackupVerification`."""
    found = await _backups(at, task)
    if not found:
        return at.result("failed", f"there is no backup {task.pattern} in {task.folder}")
    newest, age_h = found[0], (datetime.now(UTC).timestamp() - found[0].written_at) / HOUR_S
    told = f"{newest.path}, {newest.size_bytes / MB:.1f} MB, {age_h:.1f} h old"
    if faults := _faults(found, age_h, task):
        return at.result("failed", f"{'; '.join(faults)}: {told}")
    outcome = await _restored(at, task, newest)
    if outcome.error is not None:
        return at.result("failed", f"it cannot be restored: {outcome.error.message.splitlines()[0]}", [told])
    if outcome.status == "done":
        return at.result("ok", f"{told}; restored {len(outcome.result)} of it", outcome.result)
    return at.not_done(outcome) or at.result("failed", outcome.why)


async def _restored(at: OnHost, task: BackupVerification, newest: Backup) -> Outcome:
    """Restore a sample; the result is a line for each part of it."""
    deed = Deed(
        name=f"{at.host.name}/{task.name}/restore",
        tool="restore_sample",
        arguments={"host": at.host.name, "backup": newest.path, "written_at": newest.written_at, "sample": task.sample},
        says=f"restore a sample of {newest.path} on {at.host.name}, and remove it again",
        risk="low",
        reversible=True,
        repeatable=True,
        consent=task.approval,
    )

    async def perform() -> Any:
        return await (_from_archive(at, task, newest) if task.format == "tar" else _from_dump(at, task, newest))

    return await at.performer.do(deed, perform)


async def _backups(at: OnHost, task: BackupVerification) -> list[Backup]:
    """Newest first."""
    listed = (await at.look(
        "find", task.folder, "-maxdepth", "1", "-type", "f", "-name", task.pattern, "-printf", r"%T@ %s %p\0",
    )).checked()  # fmt: skip
    parts = (one.split(" ", 2) for one in listed.stdout.split("\0") if one)
    return sorted((Backup(float(at_s), int(size), path) for at_s, size, path in parts), reverse=True)


def _faults(found: list[Backup], age_h: float, task: BackupVerification) -> list[str]:
    newest, faults = found[0], list[str]()
    if age_h > task.newest_within_h:
        faults.append(f"the newest is older than {task.newest_within_h:g} h")
    if newest.size_bytes < task.at_least_bytes:
        faults.append(f"the newest has fewer than {task.at_least_bytes} bytes")
    before = [one.size_bytes for one in found[1:8]]
    if before and newest.size_bytes < (1 - task.shrinks_at_most) * (usual := statistics.median(before)):
        faults.append(f"the newest is much smaller than those before, which have {usual / MB:.1f} MB")
    return faults


async def _from_archive(at: OnHost, task: BackupVerification, newest: Backup) -> list[str]:
    """Members that were restored. Raises `EngineFailed`."""
    words = ("--list", "--verbose", "--numeric-owner", "--quoting-style=escape")
    listed = (await at.look("tar", *words, "--file", newest.path)).checked()
    lines = listed.stdout.split("\n")[1 if listed.truncated else 0 :]  # of the first, a part may be missing
    found = [match["name"] for line in lines if (match := PLAIN.match(line))]
    # A name that is shown with escapes could not be asked for as it is.
    members = [name for name in found if "\\" not in name]
    if not members:
        raise EngineFailed("it holds no plain file", fix="look at how backups are made")
    folder = (await at.look("mktemp", "--directory", become=False)).checked().stdout.strip()
    try:
        wanted = _spread(members, task.sample)
        taken = ("tar", "--extract", "--no-same-owner", "--file", newest.path, "--directory", folder, "--no-wildcards")
        (await at.look(*taken, "--", *wanted)).checked()
        sizes = (await at.look("find", folder, "-type", "f", "-printf", r"%s %P\0")).checked().stdout
        restored = [one.split(" ", 1) for one in sizes.split("\0") if one]
        if len(restored) < len(wanted):
            raise EngineFailed(f"{len(wanted) - len(restored)} files did not come out of it", fix="make a new backup")
        return [f"{name}: {size} bytes" for size, name in restored]
    finally:
        await at.look("rm", "--recursive", "--force", "--", folder)


async def _from_dump(at: OnHost, task: BackupVerification, newest: Backup) -> list[str]:
    """Tables that were restored, with their rows. Raises `EngineFailed`."""
    # The same in all attempts: what a killed one left is found, and goes.
    told = f"{at.performer.run_id}/{at.host.name}/{task.name}/{newest.path}"
    name = f"c500_verify_{sha256(told.encode()).hexdigest()[:12]}"
    url = urlunsplit(urlsplit(task.database_url)._replace(path=f"/{name}"))
    await _asked(at, task.database_url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    await _asked(at, task.database_url, f"CREATE DATABASE {name}")
    try:
        restoring = ("pg_restore", "--no-owner", "--no-acl", "--exit-on-error", "--dbname", url)
        (await at.look(*restoring, newest.path)).checked()
        tables = [one.split("\t", 1) for one in (await _asked(at, url, TABLES)).split("\0") if one]
        if not tables:
            raise EngineFailed("it holds no table", fix="look at how backups are made")
        return [await _counted(at, url, *table) for table in _spread(tables, task.sample)]
    finally:
        await _asked(at, task.database_url, f"DROP DATABASE {name} WITH (FORCE)")


async def _counted(at: OnHost, url: str, schema: str, table: str) -> str:
    quoted = ".".join('"' + part.replace('"', '""') + '"' for part in (schema, table))
    rows = await _asked(at, url, f"SELECT count(*) FROM {quoted}")  # noqa: S608 - quoted as an identifier
    return f"{schema}.{table}: {rows.strip(chr(0))} rows"


async def _asked(at: OnHost, url: str, query: str) -> str:
    """What psql gives: fields apart by tabs, rows by NUL. Raises `EngineFailed`."""
    form = ("--no-psqlrc", "--tuples-only", "--no-align", "--field-separator=\t", "--record-separator-zero")
    return (await at.look("psql", url, *form, "--command", query)).checked().stdout


def _spread(items: list[T], most: int) -> list[T]:
    """Some of them, from the first to the last."""
    if len(items) <= most:
        return items
    return [items[round(number * (len(items) - 1) / max(1, most - 1))] for number in range(most)]
