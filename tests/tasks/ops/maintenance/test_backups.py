"""Backups are restored, and those that cannot be are told."""

import os
import subprocess
import tarfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import ValidationError

from tests.tasks.ops.maintenance.conftest import Maintain


def task(folder: Path, **facts: Any) -> dict[str, Any]:
    return {"name": "backups", "kind": "backup_verification", "folder": str(folder), "pattern": "*.tar.gz"} | facts


def backup(folder: Path, name: str, age_h: float = 0, lines: int = 20_000) -> Path:
    """An archive of twelve files."""
    content = folder / "content"
    content.mkdir(exist_ok=True)
    for number in range(12):
        (content / f"f {number}").write_text("".join(f"{number} {one * 7919}\n" for one in range(lines // 12)))
    path = folder / name
    with tarfile.open(path, "w:gz") as archive:
        archive.add(content, "content")
    written = time.time() - age_h * 3600
    os.utime(path, (written, written))
    return path


async def test_a_sample_of_the_newest_is_restored(maintain: Maintain, tmp_path: Path) -> None:
    for age_h in (0, 24, 48):
        backup(tmp_path, f"db-{age_h}.tar.gz", age_h)
    (result,) = await maintain(task(tmp_path, sample=3))
    assert (result.status, len(result.details)) == ("ok", 3) and "db-0.tar.gz" in result.summary, result
    assert any("content/f 0" in line for line in result.details)


async def test_an_old_a_small_and_a_broken_backup_fail(maintain: Maintain, tmp_path: Path) -> None:
    backup(tmp_path, "old.tar.gz", 48)
    (old,) = await maintain(task(tmp_path))
    assert old.status == "failed" and "older than 26 h" in old.summary
    backup(tmp_path, "small.tar.gz", 1, lines=12)
    (small,) = await maintain(task(tmp_path))
    assert small.status == "failed" and "smaller" in small.summary
    newest = backup(tmp_path, "broken.tar.gz")
    newest.write_bytes(newest.read_bytes()[:-9000])
    (broken,) = await maintain(task(tmp_path))
    assert broken.status == "failed" and "restored" in broken.summary, broken
    (none,) = await maintain(task(tmp_path, pattern="*.dump"))
    assert none.status == "failed" and "no backup" in none.summary


@pytest.fixture
def dump(postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A dump of a table with 321 rows; the password lies where psql looks for it."""
    url = urlsplit(postgres_url)
    (tmp_path / ".pgpass").write_text(f"127.0.0.1:*:*:{url.username}:{url.password}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    for words in (
        ["psql", "-q", "-c", 'CREATE TABLE "Odd\tname" AS SELECT generate_series(1, 321) AS id', postgres_url],
        ["pg_dump", "-Fc", "-t", '"Odd\tname"', "-f", str(tmp_path / "shop.dump"), postgres_url],
        ["psql", "-q", "-c", 'DROP TABLE "Odd\tname"', postgres_url],
    ):
        subprocess.run(words, check=True)
    return tmp_path / "shop.dump"


async def test_a_dump_is_restored_into_a_database_that_is_gone_afterwards(
    maintain: Maintain, dump: Path, postgres_url: str
) -> None:
    url = urlsplit(postgres_url)
    known = f"postgresql://{url.username}@127.0.0.1:{url.port}/postgres"
    facts = {"pattern": "*.dump", "format": "pg_dump", "database_url": known}
    (result,) = await maintain(task(dump.parent, **facts))
    connection = await asyncpg.connect(postgres_url)
    left = await connection.fetch("SELECT datname FROM pg_database WHERE datname LIKE 'c500_verify%'")
    await connection.close()
    assert result.status == "ok" and "321 rows" in result.details[0], result
    assert left == []


async def test_a_password_in_the_plan_is_refused(maintain: Maintain, tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="database_url"):
        await maintain(task(tmp_path, database_url="postgresql://me:secret@db/postgres"))


async def test_links_in_an_archive_are_no_fault(maintain: Maintain, tmp_path: Path) -> None:
    content = tmp_path / "etc"
    content.mkdir()
    for number in range(20):
        (content / f"file {number}").write_text("x" * 100)
        (content / f"link {number}").symlink_to(f"file {number}")
        (content / f"same {number}").hardlink_to(content / f"file {number}")
    with tarfile.open(tmp_path / "etc.tar.gz", "w:gz") as archive:
        archive.add(content, "etc")
    (result,) = await maintain(task(tmp_path, sample=15))
    assert (result.status, len(result.details)) == ("ok", 15), result


async def test_a_long_list_of_members_is_no_fault(maintain: Maintain, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "many.tar.gz", "w:gz") as archive:
        for number in range(9000):
            archive.addfile(tarfile.TarInfo(f"{'long-' * 20}{number}"))
    (result,) = await maintain(task(tmp_path, sample=3))
    assert (result.status, len(result.details)) == ("ok", 3), result


async def test_a_dry_run_restores_nothing(maintain: Maintain, tmp_path: Path) -> None:
    backup(tmp_path, "db.tar.gz")
    (result,) = await maintain(task(tmp_path), dry_run=True)
    assert result.status == "planned" and "restore a sample" in result.summary, result
    (done,) = await maintain(task(tmp_path))
    assert done.status == "ok"
